# SPDX-License-Identifier: MIT
# What is installed besides programs: Python package, scenarios, JSON schemas. All paths are relative to the prefix, and
# everything finds everything else from its own place, so that a prefix may be moved.

install(DIRECTORY ${CMAKE_SOURCE_DIR}/scripts/faultline DESTINATION lib/faultline/python
    PATTERN __pycache__ EXCLUDE)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/scenarios DESTINATION share/faultline
    FILES_MATCHING PATTERN *.yaml)
install(FILES ${CMAKE_SOURCE_DIR}/results/schema.json DESTINATION share/faultline/schema
    RENAME results.json OPTIONAL)
foreach(name board compare live pair)
    install(FILES ${CMAKE_SOURCE_DIR}/results/${name}.schema.json DESTINATION share/faultline/schema RENAME ${name}.json)
endforeach()
install(FILES ${CMAKE_SOURCE_DIR}/scenarios/schema.json DESTINATION share/faultline/schema
    RENAME scenario.json OPTIONAL)

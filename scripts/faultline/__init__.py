# SPDX-License-Identifier: MIT
"""Analysis of faultline's records: concludes, never measures."""

# SPDX-License-Identifier: MIT
# The matrix: time of an operation between every two CPUs that were visited, in the order of the machine's tree; of
# large machines between L3 caches. Reads DIR/pairs.csv and DIR/cpus.csv. One arm and group (what is held) a picture.
#
#   gnuplot -e "run='DIR'" matrix.gp                           in the terminal: ns, or a sign for it
#   gnuplot -e "run='DIR'; output='matrix.svg'" matrix.gp      .svg, .png or .pdf
#   …; scenario='contention/ping-pong'                         another scenario than the first that has pairs
#   …; held='worker_kind=thread'; arm='store'                  another group or arm than the first
#   …; columns=200                                             width of the terminal

set encoding utf8
if (!exists("run")) { print "matrix.gp: say which run: gnuplot -e \"run='DIR'\" matrix.gp"; exit status 2 }
if (strstrt(run, "'")) { print "matrix.gp: the run's path holds a quote"; exit status 2 }

# gnuplot cuts a quoted text at its first comma, so the tables are read through awk, which makes the separators tabs.
tabs = 'awk -F''"'' ''{ out = ""; for (i = 1; i <= NF; i++) { if (i % 2) gsub(/,/, "\t", $i); ' . \
       'out = out $i } print out }'' '
pairs = "< " . tabs . "'" . run . "/pairs.csv'"
cpus = "< " . tabs . "'" . run . "/cpus.csv'"
set datafile separator tab

# Columns by name, wherever they stand.
header = system("head -n 1 '" . run . "/pairs.csv' | tr ',' ' '")
position(name) = (at = 0, sum [i = 1:words(header)] (word(header, i) eq name ? (at = i) : 0), at)
c_scenario = position("scenario"); c_held = position("held"); c_arm = position("arm"); c_role = position("role")
c_scope = position("scope"); c_a = position("a"); c_b = position("b"); c_ns = position("ns_per_op")
c_op = position("op")
if (c_scope == 0 || c_ns == 0) { print run . "/pairs.csv: no table of pairs"; exit status 7 }
header = system("head -n 1 '" . run . "/cpus.csv' | tr ',' ' '")
m_cpu = position("cpu"); m_l3 = position("l3"); m_package = position("package"); m_source = position("source")

name = exists("scenario") ? scenario : ""
group = exists("held") ? held : "?"
who = exists("arm") ? arm : ""
scope = "pair"; op = ""
is_mine(i) = strcol(c_role) ne "null" && strcol(c_scope) ne "class" && strcol(c_scope) ne "cpu" && \
    (name eq "" || strcol(c_scenario) eq name) && (group eq "?" || strcol(c_held) eq group) && \
    (who eq "" || strcol(c_arm) eq who)
choose(i) = (name = strcol(c_scenario), group = strcol(c_held), who = strcol(c_arm), op = strcol(c_op), \
    scope = strcol(c_scope) eq "pair" ? scope : strcol(c_scope), found = found + 1, 0)
found = 0
set table $ignored
plot pairs skip 1 using (is_mine(0) ? choose(0) : 0):(0) with table
unset table
if (found == 0) { print run . ": no pairs of CPUs" . (name eq "" ? "" : " in scenario " . name); exit status 7 }

# The lines in the order of the tree: CPUs, or the groups that they lie in; by number where the tree is not known.
line_most = 4096
array place[line_most]; array index[line_most]; array l3[line_most]; array package[line_most]
do for [i = 1:line_most] { place[i] = 0 }
count = 0; source = ""
m_line = scope eq "pair" ? m_cpu : position(scope)
add(n, a, b) = (n >= line_most || place[n + 1] ? 0 : (count = count + 1, place[n + 1] = count, index[count] = n, \
    l3[count] = a, package[count] = b, 0))
set table $ignored
plot cpus skip 1 using (source = strcol(m_source), add(int(column(m_line)), strcol(m_l3), strcol(m_package))):(0) \
    with table
unset table
both(i) = (add(int(column(c_a)), "", ""), add(int(column(c_b)), "", ""))
set table $ignored
if (count == 0) { plot pairs skip 1 using (is_mine(0) && strcol(c_scope) eq "pair" ? both(0) : 0):(0) with table }
unset table
if (count == 0) { print run . ": no CPUs to draw"; exit status 7 }

array time[count * count]
do for [i = 1:count * count] { time[i] = 0.0 }
put(a, b, ns) = a && b ? (time[(a - 1) * count + b] = ns, time[(b - 1) * count + a] = ns, 0) : 0
set table $ignored
plot pairs skip 1 using (is_mine(0) && strcol(c_scope) eq scope ? \
    put(place[int(column(c_a)) + 1], place[int(column(c_b)) + 1], column(c_ns)) : 0):(0) with table
unset table

made_up = strstrt(source, "not this machine") == 1 ? "\n" . source : ""
lines = scope eq "pair" ? "CPUs" : scope . " numbers"
title_text = name . ": " . who . (group eq "" ? "" : " (" . group . ")") . "\nmedian time per " . op . \
    ", " . lines . " in the order of the tree" . made_up

# In the terminal: ns where few CPUs leave room, else a sign a factor of two.
if (!exists("output")) {
  if (!exists("columns")) { columns = 100 }
  set print "-"
  print title_text
  wide = 5
  signs = ".:-=+*oxO%#@"
  sign(ns) = (step = int(log(ns / 3.0) / log(2.0)) + 1, step = step < 1 ? 1 : step > 12 ? 12 : step, signs[step:step])
  # A sign in the figure's last column, so that it stands below its number.
  if (count * wide + 6 <= columns) {
    text = "     "
    do for [x = 1:count] { text = text . sprintf("%5d", index[x]) }
    print text . "   ns"
    do for [y = 1:count] {
      text = sprintf("%5d", index[y])
      do for [x = 1:count] { t = time[(y - 1) * count + x]
        text = text . (x == y && scope eq "pair" ? "    -" : t == 0 ? "     " : \
            sprintf(t < 100 ? "%5.1f" : "%5.0f", t)) }
      print text
    }
  } else {
    do for [y = 1:count] {
      text = sprintf("%5d ", index[y])
      do for [x = 1:count] { t = time[(y - 1) * count + x]
        text = text . (x == y && scope eq "pair" ? "\\" : t == 0 ? " " : sign(t)) }
      print text
    }
    text = ""
    do for [s = 1:12] { text = text . sprintf(" %s %.3g", signs[s:s], 3.0 * 2 ** (s - 1)) }
    print "  ns, from:" . text
  }
  set print
  exit
}

side = count <= 16 ? 230 + 38 * count : 640
kind = output[strlen(output) - 3:*]
if (kind eq ".svg") { set terminal svg size side + 230, side + 130 font "DejaVu Sans,11" background "#ffffff" \
    noenhanced }
else { if (kind eq ".png") { set terminal pngcairo size side + 230, side + 130 font "DejaVu Sans,9" noenhanced }
else { if (kind eq ".pdf") { set terminal pdfcairo size (side + 230) / 100.0, (side + 130) / 100.0 \
    font "DejaVu Sans,9" noenhanced }
else { print output . ": neither .svg nor .png nor .pdf"; exit status 2 } } }
set output output

set print $squares
do for [y = 1:count] { do for [x = 1:count] {
  if (time[(y - 1) * count + x] > 0) { print sprintf("%d\t%d\t%.9g", x, y, time[(y - 1) * count + x]) } } }
set print
if (|$squares| == 0) { print run . ": no times to draw"; exit status 7 }

# Shades of cividis, the same scale for every machine.
set palette defined (0 "#00224E", 0.17 "#2A3F6D", 0.33 "#575C6D", 0.5 "#7D7C78", 0.67 "#A59C74", 0.83 "#D2C060", \
    1 "#FEE838")
set logscale cb 10
set cbrange [3:3000]
set cbtics ("3 ns" 3, "10 ns" 10, "30 ns" 30, "100 ns" 100, "300 ns" 300, "1 us" 1000, "3 us" 3000)
unset mcbtics
set xrange [0.5:count + 0.5]
set yrange [count + 0.5:0.5]
set size ratio -1
step = (count + 31) / 32
list = ""
do for [i = 1:count:step] { list = list . (i > 1 ? ", " : "") . sprintf("'%d' %d", index[i], i) }
eval "set ytics (" . list . ") scale 0"
eval "set x2tics (" . list . ") scale 0" . (count > 10 ? " rotate" : "")
set x2range [0.5:count + 0.5]
unset xtics
unset key
set tmargin 7
set bmargin 2
set label 1 title_text at screen 0.01, screen 1 offset 0, -1 left
set label 2 "grey: not visited; thin lines: L3 caches, thick ones: packages" at screen 0.01, screen 0 offset 0, 1 left
set object 1 rectangle from 0.5, 0.5 to count + 0.5, count + 0.5 behind fillcolor rgb "#D4D4D4" fillstyle solid noborder
if (scope eq "pair") { do for [i = 1:count] { set object i + 1 rectangle from i - 0.5, i - 0.5 to i + 0.5, i + 0.5 \
    behind fillcolor rgb "#FFFFFF" fillstyle solid noborder } }
edges = 2
do for [i = 2:count] {
  thick = package[i] ne package[i - 1] ? 2.5 : l3[i] ne l3[i - 1] && scope eq "pair" ? 1 : 0
  if (thick > 0) {
    set arrow edges from i - 0.5, 0.5 to i - 0.5, count + 0.5 nohead front linewidth thick linecolor rgb "#000000"
    set arrow edges + 1 from 0.5, i - 0.5 to count + 0.5, i - 0.5 nohead front linewidth thick linecolor rgb "#000000"
    edges = edges + 2
  }
}
figure(t) = sprintf(t < 100 ? "%.3g" : "%.0f", t)
light(t) = t > 80 ? 0x000000 : 0xFFFFFF
if (count <= 16) {
  plot $squares using 1:2:(column(1) - 0.5):(column(1) + 0.5):(column(2) - 0.5):(column(2) + 0.5):3 \
      with boxxyerror fill solid 1 border rgb "#FFFFFF" linecolor palette, \
      $squares using 1:2:(figure(column(3))):(light(column(3))) with labels font ",8" textcolor rgb variable
} else {
  plot $squares using 1:2:(column(1) - 0.5):(column(1) + 0.5):(column(2) - 0.5):(column(2) + 0.5):3 \
      with boxxyerror fill solid 1 noborder linecolor palette
}

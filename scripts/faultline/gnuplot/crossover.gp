# SPDX-License-Identifier: MIT
# The crossover: time of an operation along the axis (such as the file's size), the ratio below it, and where arms
# cross. Reads DIR/cells.csv and DIR/crossings.csv. One group (what is held while the axis runs) a picture.
#
#   gnuplot -e "run='DIR'" crossover.gp                           in the terminal
#   gnuplot -e "run='DIR'; output='crossover.svg'" crossover.gp   .svg, .png or .pdf
#   …; scenario='access/scan-by-size'                             another scenario than the first that has an axis
#   …; held='recipe=write-4KiB'                                   another group than the first
#   …; columns=120                                                width of the terminal

set encoding utf8
if (!exists("run")) { print "crossover.gp: say which run: gnuplot -e \"run='DIR'\" crossover.gp"; exit status 2 }
if (strstrt(run, "'")) { print "crossover.gp: the run's path holds a quote"; exit status 2 }

# gnuplot cuts a quoted text at its first comma, so the tables are read through awk, which makes the separators tabs.
tabs = 'awk -F''"'' ''{ out = ""; for (i = 1; i <= NF; i++) { if (i % 2) gsub(/,/, "\t", $i); ' . \
       'out = out $i } print out }'' '
cells = "< " . tabs . "'" . run . "/cells.csv'"
crossings = "< " . tabs . "'" . run . "/crossings.csv'"
set datafile separator tab

# Columns of cells.csv, by name, wherever they stand. Those of crossings.csv:
# 1 scenario, 2 arm, 4 held, 5 at, 6 low, 7 high.
header = system("head -n 1 '" . run . "/cells.csv' | tr ',' ' '")
position(name) = (at = 0, sum [i = 1:words(header)] (word(header, i) eq name ? (at = i) : 0), at)
c_scenario = position("scenario"); c_arm = position("arm"); c_index = position("arm_index"); c_role = position("role")
c_axis = position("axis"); c_x = position("axis_value"); c_held = position("held"); c_op = position("op")
c_ns = position("ns_per_op"); c_ns_low = position("ns_per_op_low"); c_ns_high = position("ns_per_op_high")
c_ratio = position("ratio"); c_low = position("ratio_low"); c_high = position("ratio_high")
if (c_ratio == 0 || c_axis == 0) { print run . "/cells.csv: no table of cells"; exit status 7 }

has(i) = strlen(strcol(i)) > 0
name = exists("scenario") ? scenario : ""
group = exists("held") ? held : "?"
axis = ""; op = ""; arm_most = 0
rival(i) = strcol(c_role) ne "null" && column(c_index) > arm_most
choose(i) = (name = name eq "" && has(c_axis) ? strcol(c_scenario) : name, \
             strcol(c_scenario) eq name && has(c_axis) ? (group = group eq "?" ? strcol(c_held) : group, \
                 axis = strcol(c_axis), \
             op = strcol(c_op), arm_most = rival(0) ? column(c_index) : arm_most) : 0, 0)
set table $ignored
plot cells skip 1 using (choose(0)):(0) with table
unset table
if (axis eq "") { print run . ": no scenario with an axis" . (name eq "" ? "" : " named " . name); exit status 7 }

wanted(i) = strcol(c_scenario) eq name && strcol(c_held) eq group && strcol(c_role) ne "null" && has(c_ns)
end_of(i, middle) = has(i) ? column(i) : column(middle)
set table $rows separator tab
plot cells skip 1 using (column(c_x)):(column(c_ns)):(end_of(c_ns_low, c_ns)):(end_of(c_ns_high, c_ns)):\
  (has(c_ratio) ? column(c_ratio) : NaN):(has(c_ratio) ? end_of(c_low, c_ratio) : NaN):(has(c_ratio) ? \
      end_of(c_high, c_ratio) : NaN):\
  (column(c_index)):(strcol(c_arm)) with table if (wanted(0))
unset table
if (|$rows| == 0) { print run . ": no times in scenario " . name . (group eq "" ? "" : " with " . group); \
    exit status 7 }

bare(text) = (from = text[1:1] eq " " ? 2 : 1, to = strlen(text), text[to:to] eq " " ? text[from:to - 1] : \
    text[from:to])
array arm[9]
do for [i = 1:9] { arm[i] = "" }
x_low = 1e300; x_high = 0; ratio_reach = 2.0
reach(r) = (r > 0 ? (q = r > 1 ? r : 1 / r, ratio_reach = q * 1.15 > ratio_reach ? q * 1.15 : ratio_reach) : 0)
note(i) = (x = column(1), x_low = x < x_low ? x : x_low, x_high = x > x_high ? x : x_high, \
    arm[int(column(8)) + 1] = bare(strcol(9)), \
           reach(column(5)), 0)
set table $ignored
plot $rows using (int(column(8)) < 9 ? note(0) : 0):(0) with table
unset table

if (exists("output")) {
  kind = output[strlen(output) - 3:*]
  if (kind eq ".svg") { set terminal svg size 900, 680 font "DejaVu Sans,11" background "#ffffff" noenhanced }
  else { if (kind eq ".png") { set terminal pngcairo size 900, 680 font "DejaVu Sans,9" noenhanced }
  else { if (kind eq ".pdf") { set terminal pdfcairo size 9, 6.8 font "DejaVu Sans,9" noenhanced }
  else { print output . ": neither .svg nor .png nor .pdf"; exit status 2 } } }
  set output output
} else {
  if (!exists("columns")) { columns = 100 }
  set terminal dumb noenhanced size columns, 46
}

array colour[8] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000, 0x8C6D00]
paint(i) = colour[int(i) % 8 + 1]
markers = exists("output") ? "7 5 9 13 11 15 3 2" : "1 2 3 4 5 6 7 8"
marker(i) = int(word(markers, int(i) % 8 + 1))
seconds(ns) = ns >= 1e9 ? sprintf("%.3g s", ns / 1e9) : ns >= 1e6 ? sprintf("%.3g ms", ns / 1e6) : ns >= 1e3 ? \
    sprintf("%.3g us", ns / 1e3) : sprintf("%.3g ns", ns)
three(v) = v >= 100 ? sprintf("%.0f", v) : sprintf("%.3g", v)
bytes(n) = n >= 2.0 ** 30 ? three(n / 2.0 ** 30) . "GiB" : n >= 2.0 ** 20 ? three(n / 2.0 ** 20) . "MiB" : \
    n >= 1024 ? three(n / 1024) . "KiB" : sprintf("%g", n)
spelled(x) = strstrt(axis, "_bytes") ? bytes(x) : sprintf("%g", x)

set multiplot
set logscale x 2
set logscale y 10
set xrange [x_low / 1.25:x_high * 1.25]
set grid
set border 3
set tics nomirror
set lmargin 14
set rmargin 4
set key outside top left horizontal width 2
set errorbars 0
set mxtics 1

# Tics stand at the measured values, every second one where they are many.
set table $places separator tab
plot $rows using (column(1)) with table if (int(column(8)) == 0)
unset table
count = |$places|
step = (count + 8) / 9
list = ""
do for [j = 0:(count - 1) / step] { k = 1 + j * step; list = list . (j ? ", " : "") . sprintf("'%s' %.17g", \
    spelled(real($places[k])), real($places[k])) }
eval "set xtics (" . list . ")"
time_tics = ""
do for [e = -1:11] { time_tics = time_tics . (e > -1 ? ", " : "") . sprintf("'%s' 1e%d", seconds(10.0 ** e), e) }
ratio_tics = ""
step = ratio_reach > 64 ? 4 : ratio_reach > 8 ? 2 : 1
do for [j = 0:24 / step] { e = -12 + j * step; ratio_tics = ratio_tics . (j ? ", " : "") . (e < 0 ? \
    sprintf("'1/%d' %.17g", 2 ** -e, 2.0 ** e) : sprintf("'%d' %.17g", 2 ** e, 2.0 ** e)) }

# Crossing points: a dashed line through both panels, its figure in the lower one, a bar over its interval.
array at[32]; array from[32]; array to[32]; array owner[32]
index_of(text) = (found = 1, sum [i = 1:9] (arm[i] eq text ? (found = i) : 0), found)
crossed = 0
keep(i) = (crossed = crossed + 1, at[crossed] = column(5), from[crossed] = has(6) ? column(6) : column(5), \
           to[crossed] = has(7) ? column(7) : column(5), owner[crossed] = index_of(strcol(2)) - 1, 0)
set table $ignored
plot crossings skip 1 using (strcol(1) eq name && strcol(4) eq group && has(5) && crossed < 32 ? keep(0) : 0):(0) \
    with table
unset table
do for [k = 1:crossed] {
  set arrow 10 + k from first at[k], graph 0 to first at[k], graph 1 nohead dashtype 2 linecolor rgb paint(owner[k])
}

set datafile missing NaN
set size 1, 0.6
set origin 0, 0.4
set title name . (group eq "" ? "" : " (" . group . ")") . ": time per " . op . ", 95 % intervals"
set ylabel ""
eval "set ytics (" . time_tics . ")"
set xlabel ""
series = int(arm_most) < 8 ? int(arm_most) + 1 : 8
plot for [i = 1:series] $rows using (int(column(8)) == i - 1 ? column(1) : NaN):3:4 with filledcurves \
    linecolor rgb paint(i - 1) fillstyle transparent solid 0.25 notitle, \
     for [i = 1:series] $rows using (int(column(8)) == i - 1 ? column(1) : NaN):2 with linespoints \
         pointtype marker(i - 1) linewidth 1.5 linecolor rgb paint(i - 1) title arm[i]

unset key
set size 1, 0.4
set origin 0, 0
set title "time ÷ time of the baseline"
set xlabel axis
set logscale y 2
set yrange [1 / ratio_reach:ratio_reach]
eval "set ytics (" . ratio_tics . ")"
do for [k = 1:crossed] {
  set label 10 + k spelled(at[k]) at first at[k], graph 0.06 + 0.1 * (k % 3) left offset 0.6, \
      0 textcolor rgb paint(owner[k])
  set object 10 + k rectangle from first from[k], graph 0 to first to[k], \
      graph 1 behind fillcolor rgb paint(owner[k]) fillstyle transparent solid 0.3 noborder
}
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead linecolor rgb "#000000"
plot for [i = 2:series] $rows using (int(column(8)) == i - 1 ? column(1) : NaN):6:7 with filledcurves \
    linecolor rgb paint(i - 1) fillstyle transparent solid 0.25 notitle, \
     for [i = 2:series] $rows using (int(column(8)) == i - 1 ? column(1) : NaN):5 with linespoints \
         pointtype marker(i - 1) linewidth 1.5 linecolor rgb paint(i - 1) notitle
unset multiplot

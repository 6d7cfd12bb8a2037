# SPDX-License-Identifier: MIT
# The ladder: every round that was measured on pairs of CPUs, by what the two share, a rung an arm and class. Reads
# DIR/pairs.csv and DIR/ladder.csv. One group (what is held) a picture.
#
#   gnuplot -e "run='DIR'" ladder.gp                           in the terminal
#   gnuplot -e "run='DIR'; output='ladder.svg'" ladder.gp      .svg, .png or .pdf
#   …; scenario='contention/ping-pong'                         another scenario than the first that has pairs
#   …; held='worker_kind=thread'                               another group than the first
#   …; columns=120                                             width of the terminal

set encoding utf8
if (!exists("run")) { print "ladder.gp: say which run: gnuplot -e \"run='DIR'\" ladder.gp"; exit status 2 }
if (strstrt(run, "'")) { print "ladder.gp: the run's path holds a quote"; exit status 2 }

# gnuplot cuts a quoted text at its first comma, so the tables are read through awk, which makes the separators tabs.
tabs = 'awk -F''"'' ''{ out = ""; for (i = 1; i <= NF; i++) { if (i % 2) gsub(/,/, "\t", $i); ' . \
       'out = out $i } print out }'' '
pairs = "< " . tabs . "'" . run . "/pairs.csv'"
rounds = "< " . tabs . "'" . run . "/ladder.csv'"
set datafile separator tab

# Columns by name, wherever they stand.
header = system("head -n 1 '" . run . "/pairs.csv' | tr ',' ' '")
position(name) = (at = 0, sum [i = 1:words(header)] (word(header, i) eq name ? (at = i) : 0), at)
c_scenario = position("scenario"); c_cell = position("cell"); c_held = position("held"); c_arm = position("arm")
c_index = position("arm_index"); c_role = position("role"); c_scope = position("scope"); c_class = position("class")
c_ns = position("ns_per_op"); c_low = position("ns_per_op_low"); c_high = position("ns_per_op_high")
c_pairs = position("pairs"); c_uniform = position("uniform"); c_modes = position("mode_count"); c_op = position("op")
if (c_scope == 0 || c_ns == 0) { print run . "/pairs.csv: no table of pairs"; exit status 7 }
header = system("head -n 1 '" . run . "/ladder.csv' | tr ',' ' '")
l_scenario = position("scenario"); l_cell = position("cell"); l_arm = position("arm"); l_class = position("class")
l_low = position("ns_low"); l_high = position("ns_high"); l_share = position("share")

has(i) = strlen(strcol(i)) > 0
name = exists("scenario") ? scenario : ""
group = exists("held") ? held : "?"
op = ""
is_rung(i) = strcol(c_scope) eq "class" && strcol(c_role) ne "null" && (name eq "" || strcol(c_scenario) eq name) && \
             (group eq "?" || strcol(c_held) eq group)

# Rungs in the table's order: what says which one it is, its label, its figures.
rung_most = 400
array key[rung_most]; array label[rung_most]; array middle[rung_most]; array low[rung_most]; array high[rung_most]
array owner[rung_most]; array note[rung_most]; array most[rung_most]
count = 0; x_low = 1e300; x_high = 0
key_of(cell, arm, class) = strcol(cell) . "|" . strcol(arm) . "|" . strcol(class)
plural(n) = n == 1 ? "" : "s"
keep(i) = (count = count + 1, name = strcol(c_scenario), group = strcol(c_held), op = strcol(c_op), \
    key[count] = key_of(c_cell, c_arm, c_class), owner[count] = column(c_index), \
    label[count] = sprintf("%s: %s, %d pair%s", strcol(c_arm), strcol(c_class), column(c_pairs), \
        plural(column(c_pairs))), \
    middle[count] = column(c_ns), low[count] = has(c_low) ? column(c_low) : column(c_ns), \
    high[count] = has(c_high) ? column(c_high) : column(c_ns), most[count] = 0.0, \
    note[count] = (strcol(c_uniform) eq "0" ? ", not uniform" : "") . \
        (column(c_modes) > 1 ? sprintf(", %d modes", column(c_modes)) : ""), 0)
set table $ignored
plot pairs skip 1 using (is_rung(0) && count < rung_most ? keep(0) : 0):(0) with table
unset table
if (count == 0) { print run . ": no pairs of CPUs" . (name eq "" ? "" : " in scenario " . name); exit status 7 }

# The rounds, counted in steps, each on its rung; its height beside the rung's highest.
rung_of(text) = (found = 0, sum [i = 1:count] (key[i] eq text ? (found = i) : 0), found)
mine(i) = strcol(l_scenario) eq name ? rung_of(key_of(l_cell, l_arm, l_class)) : 0
widen(a, b) = (x_low = a < x_low ? a : x_low, x_high = b > x_high ? b : x_high, 0)
top(r, share) = r == 0 ? 0 : (most[r] = share > most[r] ? share : most[r], widen(column(l_low), column(l_high)))
set table $ignored
plot rounds skip 1 using (top(mine(0), column(l_share))):(0) with table
set table $steps separator tab
plot rounds skip 1 using (rung = mine(0)):(column(l_low)):(column(l_high)): \
    (rung ? column(l_share) / most[rung] : 0):(rung ? owner[rung] : 0) with table if (mine(0) > 0)
unset table

seconds(ns) = ns >= 1e6 ? sprintf("%.3g ms", ns / 1e6) : ns >= 1e3 ? sprintf("%.3g us", ns / 1e3) : \
    sprintf("%.3g ns", ns)
longest = 0
do for [i = 1:count] { longest = strlen(label[i]) > longest ? strlen(label[i]) : longest }
shown = longest > 46 ? 46 : longest
short(text) = strlen(text) <= shown ? text : text[1:shown / 2 - 1] . ".." . text[strlen(text) - shown / 2 + 2:*]

if (exists("output")) {
  width = 760 + 7 * shown
  height = 120 + 30 * count
  kind = output[strlen(output) - 3:*]
  if (kind eq ".svg") { set terminal svg size width, height font "DejaVu Sans,11" background "#ffffff" noenhanced }
  else { if (kind eq ".png") { set terminal pngcairo size width, height font "DejaVu Sans,9" noenhanced }
  else { if (kind eq ".pdf") { set terminal pdfcairo size width / 100.0, \
      height / 100.0 font "DejaVu Sans,9" noenhanced }
  else { print output . ": neither .svg nor .png nor .pdf"; exit status 2 } } }
  set output output
} else {
  if (!exists("columns")) { columns = 100 }
  set terminal dumb noenhanced size columns, 2 * count + 8
}

array colour[8] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000, 0x8C6D00]
paint(i) = colour[int(i) % 8 + 1]
sign(share) = share >= 0.5 ? "#" : share >= 0.1 ? "+" : "."
title_text = name . (group eq "" ? "" : " (" . group . ")") . ": all rounds by time per " . op
if (exists("output")) { set label 1 title_text . "; black: median, 95 % interval" at screen 0.01, screen 1 \
    offset 0, -1 left }
set logscale x 10
# A narrow ladder is widened, so that its axis has two tics.
stretch = x_high / x_low < 5 ? 1.1 * sqrt(5 / (x_high / x_low)) : 1.1
x_low = x_low / stretch; x_high = x_high * stretch
set xrange [x_low:x_high]
set yrange [count + 0.6:0]
ticks = ""
do for [e = -1:8] { do for [m in "1 2 5"] { at = real(m) * 10.0 ** e
  ticks = ticks . (strlen(ticks) ? ", " : "") . sprintf("'%s' %.17g", seconds(at), at) } }
decades = log10(x_high / x_low)
if (decades > 1.8) { ticks = ""; do for [e = -1:8] { ticks = ticks . (e > -1 ? ", " : "") . \
    sprintf("'%s' %.17g", seconds(10.0 ** e), 10.0 ** e) } }
eval "set xtics (" . ticks . ") nomirror"
set mxtics 1
names = ""; figures = ""; margin = 0
do for [i = 1:count] {
  names = names . (i > 1 ? ", " : "") . sprintf("'%s' %d", short(label[i]), i)
  margin = strlen(note[i]) + 9 > margin ? strlen(note[i]) + 9 : margin
  figures = figures . (i > 1 ? ", " : "") . sprintf("'%s%s' %d", seconds(middle[i]), note[i], i)
}
eval "set ytics (" . names . ") nomirror scale 0"
eval "set y2tics (" . figures . ") scale 0"
set y2range [count + 0.6:0]
set border 3
set grid xtics
unset key
set lmargin shown + 2
set rmargin margin
set tmargin (exists("output") ? 3 : 0)
set xlabel ""

if (exists("output")) {
  do for [i = 1:count] {
    set arrow 10 + i from low[i], i + 0.1 to high[i], i + 0.1 nohead linewidth 2 front
    set label 10 + i "|" at middle[i], i + 0.1 center front
  }
  plot $steps using 2:1:2:3:(column(1) - 0.08 - 0.68 * column(4)):(column(1)):(paint(column(5))) \
      with boxxyerror fill solid 1 noborder linecolor rgb variable
} else {
  set print "-"
  print title_text . "; | median"
  set print
  do for [i = 1:count] { set label 10 + i "|" at middle[i], i center front }
  plot $steps using (sqrt(column(2) * column(3))):1:(sign(column(4))) with labels
}

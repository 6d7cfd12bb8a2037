# SPDX-License-Identifier: MIT
# The board: every arm of every cell as a ratio to the baseline, on one fixed logarithmic scale. Reads DIR/cells.csv.
#
#   gnuplot -e "run='DIR'" board.gp                               in the terminal
#   gnuplot -e "run='DIR'; output='board.svg'" board.gp           .svg, .png or .pdf
#   …; scenario='access/read-or-map'                              another scenario than the first
#   …; columns=120                                                width of the terminal

set encoding utf8
if (!exists("run")) { print "board.gp: say which run: gnuplot -e \"run='DIR'\" board.gp"; exit status 2 }
if (strstrt(run, "'")) { print "board.gp: the run's path holds a quote"; exit status 2 }

# gnuplot cuts a quoted text at its first comma, so the table is read through awk, which makes the separators tabs.
tabs = 'awk -F''"'' ''{ out = ""; for (i = 1; i <= NF; i++) { if (i % 2) gsub(/,/, "\t", $i); ' . \
       'out = out $i } print out }'' '
cells = "< " . tabs . "'" . run . "/cells.csv'"
set datafile separator tab

# Columns of cells.csv, by name, wherever they stand.
header = system("head -n 1 '" . run . "/cells.csv' | tr ',' ' '")
position(name) = (at = 0, sum [i = 1:words(header)] (word(header, i) eq name ? (at = i) : 0), at)
c_scenario = position("scenario"); c_cell = position("cell"); c_arm = position("arm"); c_index = position("arm_index")
c_role = position("role"); c_verdict = position("verdict"); c_ratio = position("ratio"); c_low = position("ratio_low")
c_high = position("ratio_high"); c_recipe = position("recipe"); c_cache = position("cache")
if (c_ratio == 0 || c_scenario == 0) { print run . "/cells.csv: no table of cells"; exit status 7 }

name = exists("scenario") ? scenario : ""
set table $ignored
plot cells skip 1 using (name eq "" ? (name = strcol(c_scenario), 0) : 0):(0) with table
unset table

# The rows of that scenario that have a ratio, each on its line; an empty line for the cell's name before its first arm.
has(i) = strlen(strcol(i)) > 0
wanted(i) = strcol(c_scenario) eq name && has(c_ratio) && strcol(c_role) ne "phase"
end_of(i) = has(i) ? column(i) : column(c_ratio)
y = 0; before = ""; opens = 0
place(i) = (opens = strcol(c_cell) ne before, y = y + 1 + opens, before = strcol(c_cell), y)
set table $rows separator tab
plot cells skip 1 using (wanted(0) ? place(0) : \
    0):(column(c_ratio)):(end_of(c_low)):(end_of(c_high)):(column(c_index)):\
  (strcol(c_role) eq "null"):(strcol(c_verdict)):(strcol(c_arm)):(strcol(c_cell)): \
  (strcol(c_recipe) . ", " . strcol(c_cache)):(opens) \
  with table if (wanted(0))
unset table
if (y == 0) { print run . ": no ratios in scenario " . name; exit status 7 }

# Texts of a table written by gnuplot have a blank at either side.
bare(text) = (from = text[1:1] eq " " ? 2 : 1, to = strlen(text), text[to:to] eq " " ? text[from:to - 1] : \
    text[from:to])
short(text, most) = strlen(text) <= most ? text : text[1:most / 2 - 1] . ".." . text[strlen(text) - most / 2 + 2:*]
longest = 0
widen(n) = (longest = n > longest ? n : longest)
set table $ignored
plot $rows using (widen(strlen(bare(strcol(8))) + 2)): \
  (widen(strlen(bare(strcol(9))) + strlen(bare(strcol(10))) + 2)) with table
unset table

if (exists("output")) {
  most = longest > 80 ? 80 : longest
  width = 640 + 6 * most
  height = 110 + 17 * y
  kind = output[strlen(output) - 3:*]
  if (kind eq ".svg") { set terminal svg size width, height font "DejaVu Sans,11" background "#ffffff" noenhanced }
  else { if (kind eq ".png") { set terminal pngcairo size width, height font "DejaVu Sans,9" noenhanced }
  else { if (kind eq ".pdf") { set terminal pdfcairo size width / 100.0, \
      height / 100.0 font "DejaVu Sans,9" noenhanced }
  else { print output . ": neither .svg nor .png nor .pdf"; exit status 2 } } }
  set output output
} else {
  if (!exists("columns")) { columns = 100 }
  most = longest > columns / 2 ? columns / 2 : longest
  set terminal dumb noenhanced size columns, y + 8
}

# Okabe and Ito's colours by the arm's index, and a marker with each; letters in the terminal.
array colour[8] = [0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00, 0x56B4E9, 0x000000, 0x8C6D00]
paint(i) = colour[int(i) % 8 + 1]
markers = exists("output") ? "7 5 9 13 11 15 3 2" : "1 2 3 4 5 6 7 8"
marker(i) = int(word(markers, int(i) % 8 + 1))
bounded(x) = x < 1.0 / 16 ? 1.0 / 16 : x > 16 ? 16.0 : x
sign(v) = v eq "CANNOT TELL" ? " ?" : v eq "INVALID" ? " !" : ""
figure(x, v) = sprintf(x < 0.1 || x >= 2 ? "%.3g" : "%.3f", x) . sign(bare(v))

# Three tables, because a tic at an undefined place would still be written: arms, null arms, names of cells.
set table $arms separator tab
plot $rows using 1:2:3:4:5:(bare(strcol(7))):(bare(strcol(8))) with table if (column(6) == 0)
set table $nulls separator tab
plot $rows using (column(1)):(column(3)):(column(4)):(strcol(8)) with table if (column(6) == 1)
set table $names separator tab
plot $rows using (column(1) - 1):(bare(strcol(9)) . ", " . bare(strcol(10))) with table if (column(11) == 1)
unset table

title_text = name . ": time ÷ time of the baseline, 95 % interval (? cannot tell, ! invalid)"
if (exists("output")) { set label 1 title_text at screen 0.01, screen 1 offset 0, -1 left } else { \
    set title title_text }
set tmargin 3
set logscale x 2
set xrange [1.0 / 16:16.01]
set yrange [y + 1:0]
set xtics ("1/16" 1.0 / 16, "1/8" 0.125, "1/4" 0.25, "1/2" 0.5, "1" 1, "2" 2, "4" 4, "8" 8, "16" 16) nomirror
set xlabel "< faster          ratio          slower >"
set ytics nomirror scale 0
set y2range [y + 1:0]
set y2tics scale 0
unset key
set grid xtics
set border 3
set errorbars 0
set lmargin (exists("output") ? 0.95 * most : most) + 2
set rmargin 11
set arrow 1 from 1, graph 0 to 1, graph 1 back nohead linecolor rgb "#000000"

# The cell's name stands on the empty line above its arms; the null arm's interval is a grey bar.
arm_name(i) = short("  " . bare(strcol(7)), most)
plot $names using (1):1:ytic(short(bare(strcol(2)), most)) with dots linecolor rgb "#FFFFFF", \
     $nulls using (sqrt(column(2) * column(3))):1:2:3:(column(1) - 0.3):(column(1) + 0.3) \
         with boxxyerror fill solid 0.7 noborder linecolor rgb "#808080", \
     $arms using (bounded(column(2))):1:(bounded(column(3))):(bounded(column(4))):(paint(column(5))) \
         with xerrorbars pointtype 0 linewidth 1.6 linecolor rgb variable, \
     $arms using (bounded(column(2))):1:(marker(column(5))):(paint(column(5))): \
       ytic(arm_name(0)):y2tic(figure(column(2), strcol(6))) \
       with points pointtype variable pointsize 0.8 linecolor rgb variable, \
     $nulls using (1):1:ytic("  null") with dots linecolor rgb "#FFFFFF"

/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"

#define QUIET_NS (5000 * MS)
#define REDRAW_NS (200 * MS) /* on a terminal: as fast as one can read */

int progress_begin(struct progress *progress, FILE *out, const struct plan *plan)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    const char *terminal = getenv("TERM");
    *progress = (struct progress){.out = out, .plan = plan, .begin_ns = clock_now_ns()};
    progress->last_ns = progress->begin_ns;
    progress->is_terminal = out && isatty(fileno(out)) && terminal && strcmp(terminal, "dumb") != 0;
    if (progress->is_terminal)
        ioctl(fileno(out), TIOCGWINSZ, &size);
    progress->rows = size.ws_row ? size.ws_row : 24;
    progress->columns = size.ws_col ? size.ws_col : 80;
    progress->lines = calloc(plan->cell_count + 1, sizeof *progress->lines);
    progress->finished = calloc(plan->cell_count + 1, sizeof *progress->finished);
    return progress->lines && progress->finished ? 0 : -ENOMEM;
}

static void erase(struct progress *progress)
{
    if (progress->drawn)
        fprintf(progress->out, "\033[%uA\033[J", progress->drawn);
    progress->drawn = 0;
}

static void put_line(struct progress *progress, const char *text)
{
    unsigned width = progress->is_terminal ? progress->columns - 1 : (unsigned)strlen(text);
    fprintf(progress->out, "%.*s\n", (int)width, text);
}

void progress_note(struct progress *progress, const char *text)
{
    if (!progress->out)
        return;
    erase(progress);
    fprintf(progress->out, "faultline: %s\n", text);
    fflush(progress->out);
}

/* "mapped 0.62 [0.60,0.64] FASTER"; a question mark where there are too few trials for an interval. */
static void describe_arm(char *text, size_t size, const struct arm *arm, const struct precision_interval *interval,
                         double delta)
{
    size_t used = strlen(text);
    const char *word = precision_word(interval, delta);
    if (isnan(interval->estimate))
        snprintf(text + used, size - used, "  %s: no figure", arm->name);
    else if (interval->is_bounded)
        snprintf(text + used, size - used, "  %s %.3g [%.3g,%.3g] %s", arm->name, exp(interval->estimate),
                 exp(interval->low), exp(interval->high), word);
    else
        snprintf(text + used, size - used, "  %s %.3g %s?", arm->name, exp(interval->estimate), word);
}

void progress_cell(struct progress *progress, unsigned index, unsigned trials,
                   const struct precision_interval *intervals, bool finished)
{
    const struct cell *cell = &progress->plan->cells[index];
    const struct plan_scenario *scenario = &progress->plan->scenarios[cell->scenario];
    char *line = progress->lines[index];
    if (!progress->out)
        return;
    progress->changed = index;
    progress->finished[index] = finished;
    snprintf(line, sizeof *progress->lines, "%s %s (%u%s)", scenario->name, cell->id, trials, finished ? ", done" : "");
    for (unsigned a = 1; a < cell->arm_count; a++)
        if (!cell->arms[a].is_null)
            describe_arm(line, sizeof *progress->lines, &cell->arms[a], &intervals[a], scenario->delta);
    if (finished && !progress->is_terminal) {
        put_line(progress, line);
        fflush(progress->out);
    }
}

/* The cells around the one that changed last, as many as there is room for. */
static void draw_cells(struct progress *progress)
{
    unsigned room = progress->rows > 4 ? progress->rows - 3 : 1, count = progress->plan->cell_count, drawn = 0;
    unsigned first = progress->changed > room / 2 ? progress->changed - room / 2 : 0;
    first = first + room > count ? (count > room ? count - room : 0) : first;
    for (unsigned i = first; i < count && drawn < room; i++)
        if (progress->lines[i][0]) {
            put_line(progress, progress->lines[i]);
            drawn++;
        }
    progress->drawn = drawn;
}

/* Without a terminal a cell's line was printed when it was finished: those that were cut off have theirs now. */
static void put_unfinished(struct progress *progress)
{
    for (unsigned i = 0; i < progress->plan->cell_count; i++)
        if (progress->lines[i][0] && !progress->finished[i])
            put_line(progress, progress->lines[i]);
}

void progress_tick(struct progress *progress, unsigned done, unsigned expected, double remaining_s)
{
    char line[128];
    uint64_t now = clock_now_ns();
    if (!progress->out || now - progress->last_ns < (progress->is_terminal ? REDRAW_NS : QUIET_NS))
        return;
    progress->last_ns = now;
    erase(progress);
    if (progress->is_terminal)
        draw_cells(progress);
    snprintf(line, sizeof line, "faultline: %u of about %u records, %.0f s gone, about %.0f s left", done, expected,
             (double)(now - progress->begin_ns) / 1e9, remaining_s);
    put_line(progress, line);
    progress->drawn += progress->is_terminal;
    fflush(progress->out);
}

void progress_end(struct progress *progress)
{
    if (progress->out && progress->is_terminal) {
        erase(progress);
        draw_cells(progress);
        progress->drawn = 0;
    } else if (progress->out && progress->lines && progress->finished) {
        put_unfinished(progress);
    }
    if (progress->out)
        fflush(progress->out);
    free(progress->lines);
    free(progress->finished);
    progress->lines = NULL;
    progress->finished = NULL;
}

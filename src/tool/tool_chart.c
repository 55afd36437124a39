/* tool_chart.c - a survey as a picture: SVG, written by hand.
 *
 * Three panels below a line of facts: the file from its first byte to its last,
 * how long values are, how long chains are.  Each mark has a <title>, which
 * viewers show under the pointer.
 */
#include "tool/tool_survey.h"
#include "base/util.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define WIDTH 960
#define HEIGHT 880
#define LEFT 72 /* of all plots */
#define PLOT_WIDTH 856
#define TICKS 4

static const char live_colour[] = "#2f6db3";
static const char dead_colour[] = "#e2a33d";
static const char index_colour[] = "#8a8f98";
static const char size_colour[] = "#3a8f7b";
static const char chain_colour[] = "#7a5ba6";
static const char ink[] = "#22262b";
static const char faint[] = "#5c636b";

/* The space of one panel's marks; y grows downwards. */
struct plot {
	FILE *to;
	double top, height;
	double max; /* what reaches the top */
};

static void put_xml(FILE *to, const char *text)
{
	size_t len = strlen(text), n;

	for (const uint8_t *s = (const uint8_t *)text; len; s += n, len -= n) {
		n = utf8_char(s, len);
		if (!n || *s < 0x20 || *s == 0x7f) {
			fputs("\xef\xbf\xbd", to);
			n = 1;
		} else if (strchr("<>&\"", *s)) {
			fprintf(to, "&#%d;", *s);
		} else {
			fwrite(s, 1, n, to);
		}
	}
}

/* 1234567 -> "1,234,567" */
static const char *grouped(uint64_t v, char buf[32])
{
	char digits[32];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v), at = 0;

	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

static void put_text(FILE *to, double x, double y, const char *anchor,
		     const char *colour, const char *text)
{
	fprintf(to,
		"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" "
		"fill=\"%s\">",
		x, y, anchor, colour);
	put_xml(to, text);
	fputs("</text>\n", to);
}

static void put_heading(FILE *to, double y, const char *text)
{
	fprintf(to,
		"<text x=\"%d\" y=\"%.1f\" font-size=\"15\" "
		"font-weight=\"600\" fill=\"%s\">%s</text>\n",
		LEFT, y, ink, text);
}

/* A mark with what the pointer is told. */
static void put_bar(const struct plot *p, double x, double width, double from,
		    double to, const char *colour, const char *title)
{
	double scale = p->height / p->max;

	fprintf(p->to,
		"<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
		"fill=\"%s\"><title>%s</title></rect>\n",
		x, p->top + p->height - to * scale, width, (to - from) * scale,
		colour, title);
}

/* The next of 1, 2, 5, 10, 20, ... at or above v. */
static double round_step(double v)
{
	double base = pow(10, floor(log10(v)));

	for (int i = 0; i < 3; i++) {
		static const double steps[] = { 1, 2, 5 };

		if (steps[i] * base >= v * (1 - 1e-9))
			return steps[i] * base;
	}
	return 10 * base;
}

/* Lines and numbers on the left; sets the plot's top to a whole step. */
static void put_axis(struct plot *p, uint64_t largest)
{
	double step = round_step(fmax((double)largest, 1) / TICKS);
	char text[32];

	if (step < 1)
		step = 1;
	p->max = step * ceil(fmax((double)largest, 1) / step);
	for (double v = 0; v <= p->max + step / 2; v += step) {
		double y = p->top + p->height * (1 - v / p->max);

		fprintf(p->to,
			"<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" "
			"stroke=\"%s\" stroke-width=\"1\"/>\n",
			LEFT, LEFT + PLOT_WIDTH, y, y,
			v > 0 ? "#e4e7ea" : "#9aa0a6");
		put_text(p->to, LEFT - 8, y + 4, "end", faint,
			 grouped((uint64_t)v, text));
	}
}

/* ---- the file ---- */

static void put_legend(FILE *to, double y)
{
	static const struct {
		const char *colour, *name;
	} rows[] = {
		{ live_colour, "keys and values" },
		{ dead_colour, "free or reclaimable" },
		{ index_colour, "index" },
	};
	double x = LEFT + PLOT_WIDTH;

	for (size_t i = ARRAY_SIZE(rows); i-- > 0;) {
		x -= 7.2 * (double)strlen(rows[i].name);
		put_text(to, x, y, "start", faint, rows[i].name);
		x -= 18;
		fprintf(to,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" "
			"height=\"12\" rx=\"2\" fill=\"%s\"/>\n",
			x, y - 10, rows[i].colour);
		x -= 18;
	}
}

static void draw_cell(const struct plot *p, const struct survey *s, unsigned i,
		      double width)
{
	const struct survey_cell *c = &s->cell[i];
	double all = (double)c->bytes, live = (double)c->live / all;
	double both = live + (double)c->index / all;
	double x = LEFT + width * i;
	char title[160], at[32];

	snprintf(title, sizeof(title),
		 "from %s: %.0f %% keys and values, %.0f %% index, "
		 "%.0f %% free or reclaimable",
		 tool_size(i * s->cell_len, at), 100 * live,
		 100 * (both - live), 100 * fmax(0, 1 - both));
	put_bar(p, x, width, 0, 1, dead_colour, title);
	if (c->live)
		put_bar(p, x, width, 0, fmin(live, 1), live_colour, title);
	if (c->index)
		put_bar(p, x, width, live, fmin(both, 1), index_colour, title);
}

static void draw_file(FILE *to, const struct survey *s)
{
	struct plot p = { .to = to, .top = 148, .height = 96, .max = 1 };
	double width = (double)PLOT_WIDTH / s->n_cells;
	char text[32];

	put_heading(to, 132, "Contents of the file, from first to last byte");
	put_legend(to, 132);
	/* no hairlines where two cells meet */
	fputs("<g shape-rendering=\"crispEdges\">\n", to);
	for (unsigned i = 0; i < s->n_cells; i++)
		draw_cell(&p, s, i, width);
	fputs("</g>\n", to);
	for (int i = 0; i <= TICKS; i++)
		put_text(to, LEFT + PLOT_WIDTH * i / (double)TICKS,
			 p.top + p.height + 18,
			 i == 0     ? "start" :
			 i == TICKS ? "end" :
				      "middle",
			 faint,
			 tool_size(s->file_size * (uint64_t)i / TICKS, text));
}

/* ---- histograms ---- */

/* Bars for n counts, each with a label below and a title. */
struct bars {
	const char *colour;
	const uint64_t *counts;
	unsigned first, n;
	const char *what; /* is counted */
	void (*label)(unsigned class, unsigned last, char text[32]);
};

static uint64_t largest_of(const struct bars *b)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < b->n; i++)
		most = max_u64(most, b->counts[b->first + i]);
	return most;
}

static void draw_bars(struct plot *p, const struct bars *b)
{
	double pitch = (double)PLOT_WIDTH / b->n, width;
	char label[32], number[32], title[128];

	width = fmin(pitch * 0.78, 64);
	for (unsigned i = 0; i < b->n; i++) {
		uint64_t count = b->counts[b->first + i];
		double middle = LEFT + pitch * (i + 0.5);

		b->label(b->first + i, b->first + b->n - 1, label);
		snprintf(title, sizeof(title), "%s: %s %s", label,
			 grouped(count, number), b->what);
		if (count)
			put_bar(p, middle - width / 2, width, 0, (double)count,
				b->colour, title);
		put_text(p->to, middle, p->top + p->height + 18, "middle",
			 faint, label);
	}
}

/* The least length of a class. */
static void label_size(unsigned class, unsigned last, char text[32])
{
	static const char units[] = "KMG";
	unsigned bits = class ? class - 1 : 0;

	(void)last;
	if (bits < 10)
		snprintf(text, 32, "%u", class ? 1u << bits : 0);
	else
		snprintf(text, 32, "%u%c", 1u << bits % 10,
			 units[bits / 10 - 1]);
}

static void draw_sizes(FILE *to, const struct survey *s)
{
	struct plot p = { .to = to, .top = 336, .height = 190 };
	struct bars b = { .colour = size_colour,
			  .counts = s->size,
			  .what = "values",
			  .label = label_size };
	unsigned last = SURVEY_SIZES - 1;

	put_heading(to, 310,
		    "Size of values: number of keys by bytes, from each label "
		    "to the next");
	while (b.first < last && !s->size[b.first])
		b.first++;
	while (last > b.first && !s->size[last])
		last--;
	/* few classes would make a wall */
	while (last - b.first < 9 && last + 1 < SURVEY_SIZES)
		last++;
	b.n = last - b.first + 1;
	put_axis(&p, largest_of(&b));
	draw_bars(&p, &b);
}

static void label_chain(unsigned class, unsigned last, char text[32])
{
	snprintf(text, 32, "%u%s", class,
		 class == last && last == SURVEY_CHAINS - 1 ? "+" : "");
}

/* What a hash without any bias would give: Poisson's distribution. */
static void draw_expected(const struct plot *p, const struct bars *b,
			  double buckets, double load)
{
	double pitch = (double)PLOT_WIDTH / b->n, share = exp(-load);

	for (unsigned i = 0; i < b->n; i++) {
		double y = p->top + p->height * (1 - share * buckets / p->max);

		if (y >= p->top)
			fprintf(p->to,
				"<circle cx=\"%.2f\" cy=\"%.2f\" r=\"4\" "
				"fill=\"#ffffff\" stroke=\"%s\" "
				"stroke-width=\"1.5\"><title>expected: "
				"%.0f</title></circle>\n",
				LEFT + pitch * (i + 0.5), y, ink,
				share * buckets);
		share *= load / (i + 1);
	}
}

static void draw_chains(FILE *to, const struct blt_info *info,
			const struct survey *s)
{
	struct plot p = { .to = to, .top = 612, .height = 190 };
	struct bars b = { .colour = chain_colour,
			  .counts = s->chain,
			  .what = "buckets",
			  .label = label_chain };
	double buckets = (double)info->n_buckets;
	char text[128];

	put_heading(to, 586,
		    "Keys per bucket: number of buckets by keys in them");
	b.n = s->longest + 1 < 6 ?
		      6 :
		      (unsigned)min_u64(s->longest + 1, SURVEY_CHAINS);
	put_axis(&p, largest_of(&b));
	draw_bars(&p, &b);
	draw_expected(&p, &b, buckets, (double)s->keys / buckets);
	snprintf(text, sizeof(text),
		 "A lookup reads %.2f blocks on average. Circles: expected "
		 "with a perfect hash.",
		 s->steps);
	put_text(to, LEFT, p.top + p.height + 46, "start", faint, text);
}

static void draw_facts(FILE *to, const char *name, const struct blt_info *info,
		       const struct survey *s)
{
	char keys[32], size[32], values[32], largest[32], buckets[32];
	char text[256];
	const char *slash = strrchr(name, '/');

	fprintf(to,
		"<text x=\"%d\" y=\"52\" font-size=\"24\" "
		"font-weight=\"600\" fill=\"%s\">",
		LEFT, ink);
	put_xml(to, slash ? slash + 1 : name);
	fputs("</text>\n", to);
	snprintf(text, sizeof(text),
		 "%s keys in %s: values of %s, the longest %s; %s buckets, "
		 "load %.2f",
		 grouped(s->keys, keys), tool_size(info->file_size, size),
		 tool_size(s->value_bytes, values),
		 tool_size(s->largest, largest),
		 grouped(info->n_buckets, buckets),
		 (double)s->keys / (double)info->n_buckets);
	put_text(to, LEFT, 80, "start", faint, text);
}

void chart_draw(FILE *to, const char *name, const struct blt_info *info,
		const struct survey *s)
{
	fprintf(to,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
		"font-size=\"12\">\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
	draw_facts(to, name, info, s);
	draw_file(to, s);
	draw_sizes(to, s);
	draw_chains(to, info, s);
	fputs("</svg>\n", to);
}

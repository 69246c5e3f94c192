// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See paint.h. */
#include "paint.h"

#include <cairo.h>
#include <cairo-svg.h>
#include <errno.h>
#include <error.h>
#include <math.h>

#define FONT_POINTS	11.0
#define PADDING		4.0

struct colour {
	double red, green, blue;
};

/* Of the insides. */
static const struct colour colours[] = {
	[BOX_PACKAGE]	= { 0.90, 0.90, 0.90 },
	[BOX_NODE]	= { 0.98, 0.96, 0.88 },
	[BOX_CPU]	= { 1.00, 1.00, 1.00 },
	[BOX_BUSY_CPU]	= { 0.70, 0.87, 0.70 },
	[BOX_SHARE]	= { 0.95, 0.70, 0.60 },		/* what is not local */
};
static const struct colour local = { 0.60, 0.75, 0.95 };

static void fill(cairo_t *cr, struct colour c, const struct box *b, double width)
{
	cairo_set_source_rgb(cr, c.red, c.green, c.blue);
	cairo_rectangle(cr, b->x, b->y, width, b->height);
	cairo_fill(cr);
}

static void paint_frame(cairo_t *cr, const struct box *b)
{
	if (b->kind == BOX_TEXT)
		return;
	fill(cr, colours[b->kind], b, b->width);
	if (b->kind == BOX_SHARE)
		fill(cr, local, b, b->width * b->share);
	cairo_set_source_rgb(cr, 0.3, 0.3, 0.3);
	cairo_set_line_width(cr, 1);
	cairo_rectangle(cr, b->x, b->y, b->width, b->height);
	cairo_stroke(cr);
}

/* In the middle of the height; what is too wide is cut off at the box. */
static void paint_text(cairo_t *cr, const struct box *b)
{
	cairo_font_extents_t font;

	if (!b->text[0])
		return;
	cairo_font_extents(cr, &font);
	cairo_save(cr);
	cairo_rectangle(cr, b->x, b->y, b->width, b->height);
	cairo_clip(cr);
	cairo_set_source_rgb(cr, 0, 0, 0);
	cairo_move_to(cr, b->x + PADDING,
		      b->y + (b->height + font.ascent - font.descent) / 2);
	cairo_show_text(cr, b->text);
	cairo_restore(cr);
}

static cairo_status_t paint(cairo_surface_t *surface, const struct layout *l)
{
	cairo_t *cr = cairo_create(surface);
	cairo_status_t status;

	cairo_set_source_rgb(cr, 1, 1, 1);
	cairo_paint(cr);
	/* Where there are no fonts cairo draws with one of its own. */
	cairo_select_font_face(cr, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
			       CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(cr, FONT_POINTS);
	for (unsigned int i = 0; i < l->nr; i++) {
		paint_frame(cr, &l->boxes[i]);
		paint_text(cr, &l->boxes[i]);
	}
	status = cairo_status(cr);
	cairo_destroy(cr);
	return status;
}

static bool check(cairo_status_t status, const char *file)
{
	if (status == CAIRO_STATUS_WRITE_ERROR)
		error(0, errno, "cannot write %s", file);
	else if (status)
		error(0, 0, "cannot draw %s: %s", file, cairo_status_to_string(status));
	return !status;
}

bool paint_svg(const struct layout *l, const char *file)
{
	cairo_surface_t *surface = cairo_svg_surface_create(file, l->width, l->height);
	cairo_status_t status = cairo_surface_status(surface);

	if (!status)
		status = paint(surface, l);
	/* Only this writes it all. */
	cairo_surface_finish(surface);
	if (!status)
		status = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	return check(status, file);
}

bool paint_png(const struct layout *l, const char *file)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24,
							      ceil(l->width), ceil(l->height));
	cairo_status_t status = cairo_surface_status(surface);

	if (!status)
		status = paint(surface, l);
	if (!status)
		status = cairo_surface_write_to_png(surface, file);
	cairo_surface_destroy(surface);
	return check(status, file);
}

#include "frame.h"

enum { kOne = 1 << 16, kHalf = 1 << 15 };  // a pixel, and where its centre is

static uint32_t row_bytes(const TinytrainFrame *frame) {
    const uint32_t bytes = frame->format == TINYTRAIN_RGB888 ? 3 : frame->format == TINYTRAIN_GRAY8 ? 1 : 2;
    return frame->width * bytes;
}

static int is_yuv(const TinytrainFrame *frame) {
    return frame->format == TINYTRAIN_YUYV || frame->format == TINYTRAIN_UYVY;
}

TinytrainStatus tinytrain_frame_check(const FrameInput *input, const TinytrainFrame *frame) {
    if (!frame) return TINYTRAIN_BAD_FRAME;
    const int is_known = (uint32_t)frame->format <= TINYTRAIN_GRAY8;
    const int is_taken = input->channels == 1 || (input->channels == 3 && frame->format != TINYTRAIN_GRAY8);
    if (!is_known || !is_taken) return TINYTRAIN_BAD_FORMAT;
    const int has_area = frame->pixels && frame->width > 0 && frame->height > 0;
    if (!has_area || frame->width > TINYTRAIN_MOST_SIDE || frame->height > TINYTRAIN_MOST_SIDE) return TINYTRAIN_BAD_FRAME;
    if (frame->stride != 0 && frame->stride < row_bytes(frame)) return TINYTRAIN_BAD_FRAME;
    if (is_yuv(frame) && frame->width % 2 != 0) return TINYTRAIN_BAD_FRAME;
    return TINYTRAIN_OK;
}

// a / b to the nearest, of two the even one.
static uint32_t rounded(uint32_t a, uint32_t b) {
    const uint32_t quotient = a / b, rest = a % b;
    return quotient + (rest > b - rest || (rest == b - rest && quotient % 2 == 1));
}

static FrameAxis axis_of(uint32_t side, uint32_t length, int32_t offset, int32_t size) {
    return (FrameAxis){offset, size, (side * kOne - length) / 2, length, length / (uint32_t)size, side - 1};
}

static FrameAxis whole(uint32_t side, int32_t offset, int32_t size) { return axis_of(side, side * kOne, offset, size); }

// All of the side on fewer pixels than there are, or on more, whose middle is seen.
static FrameAxis middle(uint32_t side, uint32_t size, uint32_t pixels) {
    const int32_t offset = size < pixels ? (int32_t)rounded(pixels - size, 2) : -(int32_t)rounded(size - pixels, 2);
    return whole(side, offset, (int32_t)size);
}

// The middle of the frame that has the aspect of the input.
static FramePlace crop(uint32_t width, uint32_t height, uint32_t columns, uint32_t rows) {
    FramePlace place = {whole(width, 0, (int32_t)columns), whole(height, 0, (int32_t)rows)};
    if (width * rows > height * columns) {
        const uint32_t length = (uint32_t)((uint64_t)height * columns * kOne / rows);
        place.x = axis_of(width, length, 0, (int32_t)columns);
    } else {
        const uint32_t length = (uint32_t)((uint64_t)width * rows * kOne / columns);
        place.y = axis_of(height, length, 0, (int32_t)rows);
    }
    return place;
}

// All of the frame between black borders.
static FramePlace pad(uint32_t width, uint32_t height, uint32_t columns, uint32_t rows) {
    FramePlace place = {whole(width, 0, (int32_t)columns), whole(height, 0, (int32_t)rows)};
    if (width * rows > height * columns) {
        const uint32_t size = rounded(height * columns, width);
        place.y = middle(height, size > 0 ? size : 1, rows);
    } else {
        const uint32_t size = rounded(width * rows, height);
        place.x = middle(width, size > 0 ? size : 1, columns);
    }
    return place;
}

// The middle of the frame, whose shorter side is brought to 8/7 of the input's.
static FramePlace eval_crop(uint32_t width, uint32_t height, uint32_t columns, uint32_t rows) {
    const uint32_t shorter = (8 * columns + 6) / 7;
    const int is_tall = width <= height;
    const uint32_t new_width = is_tall ? shorter : shorter * width / height;
    const uint32_t new_height = is_tall ? shorter * height / width : shorter;
    return (FramePlace){middle(width, new_width, columns), middle(height, new_height, rows)};
}

FramePlace tinytrain_frame_place(const FrameInput *input, uint32_t width, uint32_t height) {
    const uint32_t columns = input->width, rows = input->height;
    switch (input->resize) {
        case FRAME_CROP:
            return crop(width, height, columns, rows);
        case FRAME_EVAL_CROP:
            return eval_crop(width, height, columns, rows);
        case FRAME_PAD:
            return pad(width, height, columns, rows);
        default:
            return (FramePlace){whole(width, 0, (int32_t)columns), whole(height, 0, (int32_t)rows)};
    }
}

// Where the centre of a pixel of the input lies: between which two pixels of the frame, and how far, in 1/256 pixel.
typedef struct {
    uint32_t first, second, share;
} Between;

static int is_inside(const FrameAxis *axis, uint32_t pixel) {
    const int32_t place = (int32_t)pixel - axis->offset;
    return place >= 0 && place < axis->size;
}

static Between between(const FrameAxis *axis, uint32_t pixel) {
    const uint32_t place = (uint32_t)((int32_t)pixel - axis->offset);
    int32_t centre = (int32_t)(axis->first + place * axis->step + axis->step / 2) - kHalf;
    if (centre < 0) centre = 0;
    const uint32_t first = (uint32_t)centre >> 16;
    if (first >= axis->last) return (Between){axis->last, axis->last, 0};
    return (Between){first, first + 1, (uint32_t)centre >> 8 & 0xFF};
}

// A pixel is red, green and blue from bit 0 on, a byte each, or gray alone.
static inline uint32_t color(uint32_t red, uint32_t green, uint32_t blue) { return red | green << 8 | blue << 16; }

static inline uint32_t byte_of(int32_t value) { return (uint32_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

// BT.601, full range, as JPEG has it.
static inline uint32_t color_of_yuv(int32_t y, int32_t u, int32_t v) {
    u -= 128;
    v -= 128;
    return color(byte_of(y + ((91881 * v + kHalf) >> 16)), byte_of(y - ((22554 * u + 46802 * v + kHalf) >> 16)),
                 byte_of(y + ((116130 * u + kHalf) >> 16)));
}

static inline uint32_t color_of_565(uint32_t low, uint32_t high) {
    const uint32_t red = high >> 3, green = (high << 3 | low >> 5) & 0x3F, blue = low & 0x1F;
    return color(red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2);
}

static inline uint32_t color_at(const uint8_t *row, TinytrainFormat format, uint32_t column) {
    const uint8_t *pair = row + column / 2 * 4, *at = row + 2 * column;
    switch (format) {
        case TINYTRAIN_RGB565_LE:
            return color_of_565(at[0], at[1]);
        case TINYTRAIN_RGB565_BE:
            return color_of_565(at[1], at[0]);
        case TINYTRAIN_YUYV:
            return color_of_yuv(at[0], pair[1], pair[3]);
        case TINYTRAIN_UYVY:
            return color_of_yuv(at[1], pair[0], pair[2]);
        default:
            at = row + 3 * column;
            return color(at[0], at[1], at[2]);
    }
}

// Of YUV it is Y; of color as Pillow has it.
static inline uint32_t gray_at(const uint8_t *row, TinytrainFormat format, uint32_t column) {
    if (format == TINYTRAIN_GRAY8) return row[column];
    if (format == TINYTRAIN_YUYV) return row[2 * column];
    if (format == TINYTRAIN_UYVY) return row[2 * column + 1];
    const uint32_t pixel = color_at(row, format, column);
    return (19595 * (pixel & 0xFF) + 38470 * (pixel >> 8 & 0xFF) + 7471 * (pixel >> 16) + kHalf) >> 16;
}

static inline uint32_t pixel_at(const uint8_t *row, TinytrainFormat format, uint32_t column, uint32_t channels) {
    return channels == 1 ? gray_at(row, format, column) : color_at(row, format, column);
}

// Two rows of a frame, and how far the second one counts, in 1/256.
typedef struct {
    const uint8_t *above, *below;
    uint32_t share;
} Rows;

static inline uint32_t blended(uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t x, uint32_t y) {
    const uint32_t upper = (256 - x) * (a & 0xFF) + x * (b & 0xFF), lower = (256 - x) * (c & 0xFF) + x * (d & 0xFF);
    return ((256 - y) * upper + y * lower + kHalf) >> 16;
}

// The pixel of the input between four of the frame.
static inline uint32_t seen_at(const Rows *rows, TinytrainFormat format, Between x, uint32_t channels) {
    const uint32_t a = pixel_at(rows->above, format, x.first, channels);
    const uint32_t b = pixel_at(rows->above, format, x.second, channels);
    const uint32_t c = pixel_at(rows->below, format, x.first, channels);
    const uint32_t d = pixel_at(rows->below, format, x.second, channels);
    const uint32_t first = blended(a, b, c, d, x.share, rows->share);
    if (channels == 1) return first;
    return color(first, blended(a >> 8, b >> 8, c >> 8, d >> 8, x.share, rows->share),
                 blended(a >> 16, b >> 16, c >> 16, d >> 16, x.share, rows->share));
}

static Rows rows_of(const TinytrainFrame *frame, Between y) {
    const size_t stride = frame->stride ? frame->stride : row_bytes(frame);
    const uint8_t *pixels = frame->pixels;
    return (Rows){pixels + y.first * stride, pixels + y.second * stride, y.share};
}

void tinytrain_frame_row(const FrameInput *input, const TinytrainFrame *frame, const FramePlace *place, uint32_t row,
                         int8_t *values) {
    const uint32_t channels = input->channels, second = input->tables > 1 ? 256 : 0;
    const int row_is_inside = is_inside(&place->y, row);
    const Rows rows = row_is_inside ? rows_of(frame, between(&place->y, row)) : (Rows){0};
    for (uint32_t column = 0; column < input->width; ++column) {
        uint32_t pixel = 0;
        if (row_is_inside && is_inside(&place->x, column)) {
            pixel = seen_at(&rows, frame->format, between(&place->x, column), channels);
        }
        if (input->bgr && channels == 3) pixel = color(pixel >> 16, pixel >> 8 & 0xFF, pixel & 0xFF);
        const int8_t *table = input->values;
        for (uint32_t i = 0; i < channels; ++i, pixel >>= 8, table += second) *values++ = table[pixel & 0xFF];
    }
}

int32_t tinytrain_frame_edge(const FrameAxis *axis, int32_t edge) {
    const int32_t most = 16 * axis->size;
    int32_t seen = edge - 16 * axis->offset;
    seen = seen < 0 ? 0 : seen > most ? most : seen;
    const uint32_t place = axis->first + (uint32_t)((uint64_t)(uint32_t)seen * axis->length / (uint32_t)most);
    return (int32_t)((place + 2048) >> 12);
}

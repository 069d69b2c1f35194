// A network that `tinytrain export --target library` has written as C, for firmware of your own.
//
//     static uint8_t arena[TINYTRAIN_ARENA_BYTES] TINYTRAIN_ALIGNED;
//
//     tinytrain_init(arena, sizeof arena, NULL);
//     tinytrain_input(arena, &frame);
//     tinytrain_invoke(arena);
//     tinytrain_result(arena, &result);
//
// The arena holds everything: there are no other variables, and nothing is allocated. Each arena is a network of its own,
// so two of them may run at the same time. One arena must not be used by two threads at once.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tinytrain_model.h"  // TINYTRAIN_ARENA_BYTES and the model's other numbers

#ifdef __cplusplus
extern "C" {
#endif

#define TINYTRAIN_ALIGNMENT 16
#define TINYTRAIN_ALIGNED __attribute__((aligned(TINYTRAIN_ALIGNMENT)))

typedef enum {
    TINYTRAIN_OK = 0,
    TINYTRAIN_ARENA_TOO_SMALL,    // nothing was written; `needed_bytes` says how many it takes
    TINYTRAIN_ARENA_MISALIGNED,   // it must begin at a multiple of 16
    TINYTRAIN_NOT_INITIALIZED,    // the arena is not one that tinytrain_init() has taken
    TINYTRAIN_BAD_FRAME,          // no pixels, no width or height, or a stride that is shorter than a row
    TINYTRAIN_BAD_FORMAT,         // an unknown format, or one that this model cannot take
    TINYTRAIN_NOT_NEXT,           // these are not the next values of the input
    TINYTRAIN_NO_INPUT,           // tinytrain_invoke() without a whole input: each inference uses one up
    TINYTRAIN_NO_RESULT,          // tinytrain_invoke() has not run since the last input
    TINYTRAIN_NO_SUCH,            // there is no output or box of this number
    TINYTRAIN_DIFFERENT,          // tinytrain_self_test(): other outputs than the host's
    TINYTRAIN_ENGINE_FAILED,      // TensorFlow Lite Micro refused the model or an inference
} TinytrainStatus;

// How the pixels of a frame lie in memory. docs/own-firmware.md of tinytrain has the formulas.
typedef enum {
    TINYTRAIN_RGB888,     // a byte each of red, green, blue
    TINYTRAIN_RGB565_LE,  // 16 bits: red in the highest 5, green in 6, blue in the lowest 5; the low byte first
    TINYTRAIN_RGB565_BE,  // the same with the high byte first, as most cameras send it
    TINYTRAIN_YUYV,       // YUV 4:2:2 of full range (JPEG's): Y0 U Y1 V for two pixels
    TINYTRAIN_UYVY,       // U Y0 V Y1
    TINYTRAIN_GRAY8,      // a byte of gray; for models of gray images only
} TinytrainFormat;

#define TINYTRAIN_MOST_SIDE 32767  // pixels of a frame's width or height

typedef struct {
    const void *pixels;
    uint16_t width, height;  // in pixels; the width of YUYV and UYVY is even
    uint32_t stride;         // bytes from one row to the next; 0: rows follow each other without a gap
    TinytrainFormat format;
} TinytrainFrame;

// Of a classifier: the class with the largest probability. Of a detector: how many boxes there are; the rest is 0.
typedef struct {
    const char *label;  // UTF-8; "" if the model has no names of classes
    uint32_t class_index;
    float probability;  // 0 to 1, a multiple of 1/32768
    uint32_t boxes;
} TinytrainResult;

// A box of a detector. Corners are in 1/16 pixel of the frame, or of the network's input where that was given by
// tinytrain_input_values(); x0 <= x < x1.
typedef struct {
    const char *label;
    uint32_t class_index;
    float probability;
    int32_t x0, y0, x1, y1;
} TinytrainBox;

// An output of the network as it is: real = scale * (data - zero_point).
typedef struct {
    const int8_t *data;  // holds until the next input
    size_t count;
    float scale;
    int32_t zero_point;
} TinytrainOutput;

// What the library that is linked says of itself; compare it with the macros of the header that you have compiled.
typedef struct {
    const char *version, *model;
    uint32_t model_crc;
    size_t arena_bytes;
} TinytrainAbout;

TinytrainAbout tinytrain_about(void);

// Makes a network of the arena. `needed_bytes`, unless it is NULL, gets TINYTRAIN_ARENA_BYTES whatever the status is, so
// tinytrain_init(NULL, 0, &bytes) asks for it. Nothing beyond TINYTRAIN_ARENA_BYTES is ever written.
TinytrainStatus tinytrain_init(void *arena, size_t arena_bytes, size_t *needed_bytes);

// Brings a frame to the input of the network: resized as the images were that it was trained on, its colors turned into
// what the network takes. The frame may be overwritten afterwards.
TinytrainStatus tinytrain_input(void *arena, const TinytrainFrame *frame);

// In place of tinytrain_input(): takes the next `count` values of the network's own int8 input, which begin at its value
// `first`. How many come at a time is free; 0 begins a new input.
TinytrainStatus tinytrain_input_values(void *arena, size_t first, const int8_t *values, size_t count);

// Runs the network on the input, which it uses up.
TinytrainStatus tinytrain_invoke(void *arena);

TinytrainStatus tinytrain_result(const void *arena, TinytrainResult *result);

// Box `index` of a detector, 0 is the best one.
TinytrainStatus tinytrain_box(const void *arena, uint32_t index, TinytrainBox *box);

// Output `index` of the network, in the order of the model.
TinytrainStatus tinytrain_output(const void *arena, uint32_t index, TinytrainOutput *output);

// Runs the network on the input that the export has proven it with, and compares all outputs. It overwrites the input.
// The golden values are linked only where this is called.
TinytrainStatus tinytrain_self_test(void *arena);

// A sentence about a status.
const char *tinytrain_status_text(TinytrainStatus status);

#ifdef __cplusplus
}
#endif

// Brings a frame of a camera to the input of a network, with integers alone. tinytrain/data/frames.py computes the same on
// the host, equal to the bit, and says what the numbers are.
#pragma once

#include <stdint.h>

#include "tinytrain.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { FRAME_STRETCH, FRAME_CROP, FRAME_EVAL_CROP, FRAME_PAD } FrameResize;

// The input of a network that takes images.
typedef struct {
    uint16_t height, width, channels;
    FrameResize resize;
    uint8_t bgr;            // whether the channels are in the order B, G, R
    uint8_t tables;         // 1, or one for each channel
    const int8_t *values;   // [tables][256] of the pixels 0 to 255
} FrameInput;

// Along one axis: where the pixels of the input come from. All of the frame that is seen lies on `size` of them from
// `offset` on; those outside are black.
typedef struct {
    int32_t offset, size;
    uint32_t first, length;  // of the part of the frame that is seen, in 1/65536 pixel
    uint32_t step;           // from one pixel of the input to the next, likewise
    uint32_t last;           // pixel of the frame
} FrameAxis;

typedef struct {
    FrameAxis x, y;
} FramePlace;

// Returns TINYTRAIN_OK if the network can take the frame.
TinytrainStatus tinytrain_frame_check(const FrameInput *input, const TinytrainFrame *frame);

FramePlace tinytrain_frame_place(const FrameInput *input, uint32_t width, uint32_t height);

// Writes row `row` of the input, width * channels values.
void tinytrain_frame_row(const FrameInput *input, const TinytrainFrame *frame, const FramePlace *place, uint32_t row, int8_t *values);

// Returns where an edge of a box in the input, in 1/16 pixel, lies in the frame, cut to it.
int32_t tinytrain_frame_edge(const FrameAxis *axis, int32_t edge);

#ifdef __cplusplus
}
#endif

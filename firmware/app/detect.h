// Boxes out of a detector's int8 outputs, in integers and tables: no float, no allocation, no state, C99 with <stdint.h>.
// It needs nothing of the rest of the firmware. tinytrain/deploy/decode computes the same on the host, equal to the bit,
// and says what the numbers are.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Corners in 1/16 px of the network's input, half-open: x0 <= x < x1. The score is a probability times 32768.
typedef struct {
    int16_t x0, y0, x1, y1;
    uint16_t score;
    uint8_t label;
    uint8_t zero;
} Box;

// One output of a head with anchors: in each cell, for each anchor, tx, ty, tw, th, objectness and the classes.
typedef struct {
    uint16_t index;  // of the output in the model
    uint16_t stride, rows, columns, anchor_count;
    int16_t least_objectness;   // 128: no score is large enough
    const uint16_t *scores;     // [256] of -128 … 127: sigmoid times 32768, of objectness and classes
    const uint16_t *places;     // [256] likewise, of tx and ty
    const uint32_t *sizes;      // [256] e^tw times 65536
    const uint16_t *anchors;    // [2 * anchor_count] width and height in 1/16 px
} AnchorOutput;

typedef struct {
    const AnchorOutput *outputs;  // the largest stride first
    uint16_t output_count;
    uint16_t classes;
    uint16_t side;         // of the input in 1/16 px
    uint16_t least_score;  // times 32768
    uint16_t overlap;      // IoU in hundredths: of two boxes with more the better one is kept
} AnchorDetector;

// A map of cells with a softmax over background and classes: an object's box is its cell.
typedef struct {
    uint16_t stride, rows, columns;
    uint16_t classes;
    uint16_t side;                 // of the input in 1/16 px
    uint16_t least_score;          // times 32768
    const uint16_t *exponentials;  // [256] of 0 … 255 below the largest value of a cell: e^-x times 32768
} CellDetector;

// Writes the boxes of an image, best first, and returns how many: at most `room`. Of equal scores the first of the scan comes
// first: output, row, column, anchor, class.
//
// outputs: the int8 values of each of the model's outputs, in the model's order; the output of cells: its values.
// boxes: holds `candidates`, at least `room`: the best ones before those are left out that overlap a better one; of cells,
// which overlap no other, it holds `room`.
int detect(const AnchorDetector *detector, const int8_t *const *outputs, Box *boxes, int candidates, int room);
int detect_cells(const CellDetector *detector, const int8_t *values, Box *boxes, int room);

#ifdef __cplusplus
}
#endif

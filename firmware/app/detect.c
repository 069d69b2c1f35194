#include "detect.h"

enum { kTx, kTy, kTw, kTh, kObjectness, kBeforeClasses };

// Table index of an int8 value.
static unsigned index_of(int8_t value) { return (unsigned)(value + 128); }

// Puts a box into the list, which is ordered by score, behind those of the same score; the last one falls out of a full
// list. Returns the new number of boxes.
static int keep(const Box *box, Box *boxes, int count, int room) {
    if (count >= room && (room <= 0 || boxes[count - 1].score >= box->score)) return count;
    int place = count < room ? count : count - 1;
    for (; place > 0 && boxes[place - 1].score < box->score; --place) boxes[place] = boxes[place - 1];
    boxes[place] = *box;
    return count < room ? count + 1 : count;
}

static int16_t clipped(int32_t edge, int32_t side) { return (int16_t)(edge < 0 ? 0 : edge > side ? side : edge); }

static int is_empty(const Box *box) { return box->x0 >= box->x1 || box->y0 >= box->y1; }

// Sets both edges of a box along one axis.
static void place_edges(const AnchorOutput *output, uint32_t cell, int8_t center, int8_t side, uint16_t anchor,
                        int32_t limit, int16_t *first, int16_t *last) {
    const uint32_t middle = ((cell << 15) + output->places[index_of(center)]) * output->stride >> 11;
    const uint64_t width = (uint64_t)output->sizes[index_of(side)] * anchor >> 16;
    const int32_t cut = width > INT16_MAX ? INT16_MAX : (int32_t)width;
    *first = clipped((int32_t)middle - (cut >> 1), limit);
    *last = clipped((int32_t)middle + ((cut + 1) >> 1), limit);
}

// Adds the boxes of one anchor in one cell, a box for each class whose score is large enough.
static int add_classes(const AnchorDetector *detector, const AnchorOutput *output, const int8_t *values, Box *box,
                       Box *boxes, int count, int room) {
    const uint32_t objectness = output->scores[index_of(values[kObjectness])];
    for (unsigned label = 0; label < detector->classes; ++label) {
        const uint32_t class_score = output->scores[index_of(values[kBeforeClasses + label])];
        box->score = (uint16_t)((objectness * class_score + (1u << 14)) >> 15);
        box->label = (uint8_t)label;
        if (box->score >= detector->least_score) count = keep(box, boxes, count, room);
    }
    return count;
}

static int add_output(const AnchorDetector *detector, const AnchorOutput *output, const int8_t *values, Box *boxes,
                      int count, int room) {
    for (unsigned row = 0; row < output->rows; ++row) {
        for (unsigned column = 0; column < output->columns; ++column) {
            for (unsigned i = 0; i < output->anchor_count; ++i, values += kBeforeClasses + detector->classes) {
                if (values[kObjectness] < output->least_objectness) continue;
                const uint16_t *anchor = output->anchors + 2 * i;
                Box box = {0};
                place_edges(output, column, values[kTx], values[kTw], anchor[0], detector->side, &box.x0, &box.x1);
                place_edges(output, row, values[kTy], values[kTh], anchor[1], detector->side, &box.y0, &box.y1);
                if (!is_empty(&box)) count = add_classes(detector, output, values, &box, boxes, count, room);
            }
        }
    }
    return count;
}

static uint32_t area(const Box *box) { return (uint32_t)(box->x1 - box->x0) * (uint32_t)(box->y1 - box->y0); }

// Whether IoU > overlap / 100, without a division: (100 + overlap) * intersection > overlap * (sum of the areas).
static int overlaps(const Box *a, const Box *b, uint32_t overlap) {
    const int32_t width = (a->x1 < b->x1 ? a->x1 : b->x1) - (a->x0 > b->x0 ? a->x0 : b->x0);
    const int32_t height = (a->y1 < b->y1 ? a->y1 : b->y1) - (a->y0 > b->y0 ? a->y0 : b->y0);
    if (width <= 0 || height <= 0) return 0;
    const uint64_t intersection = (uint64_t)width * (uint32_t)height;
    return (100 + overlap) * intersection > overlap * ((uint64_t)area(a) + area(b));
}

// Greedy suppression for each class, in place. Returns how many boxes are left, at most `room`.
static int suppress(Box *boxes, int count, uint32_t overlap, int room) {
    int kept = 0;
    for (int i = 0; i < count && kept < room; ++i) {
        int better = 0;
        while (better < kept &&
               (boxes[better].label != boxes[i].label || !overlaps(&boxes[better], &boxes[i], overlap))) {
            ++better;
        }
        if (better == kept) boxes[kept++] = boxes[i];
    }
    return kept;
}

int detect(const AnchorDetector *detector, const int8_t *const *outputs, Box *boxes, int candidates, int room) {
    int count = 0;
    for (unsigned i = 0; i < detector->output_count; ++i) {
        const AnchorOutput *output = detector->outputs + i;
        count = add_output(detector, output, outputs[output->index], boxes, count, candidates);
    }
    return suppress(boxes, count, detector->overlap, room);
}

// The softmax of a cell, by which its values become probabilities.
typedef struct {
    const int8_t *values;
    int largest;
    uint32_t total;
} Softmax;

static Softmax softmax_of(const CellDetector *detector, const int8_t *values) {
    Softmax softmax = {values, values[0], 0};
    for (unsigned i = 1; i <= detector->classes; ++i) {
        if (values[i] > softmax.largest) softmax.largest = values[i];
    }
    for (unsigned i = 0; i <= detector->classes; ++i) softmax.total += detector->exponentials[softmax.largest - values[i]];
    return softmax;
}

static uint16_t probability(const CellDetector *detector, const Softmax *softmax, unsigned label) {
    const uint32_t part = detector->exponentials[softmax->largest - softmax->values[1 + label]];
    return (uint16_t)(((part << 15) + softmax->total / 2) / softmax->total);
}

// Whether no neighbor has a larger probability of the class, and none before it in the scan an equal one.
static int is_peak(const CellDetector *detector, const int8_t *values, int row, int column, const Box *box) {
    for (int down = -1; down <= 1; ++down) {
        for (int right = -1; right <= 1; ++right) {
            const int y = row + down, x = column + right;
            const int inside = y >= 0 && y < detector->rows && x >= 0 && x < detector->columns;
            if (!inside || (down == 0 && right == 0)) continue;
            const int is_before = down < 0 || (down == 0 && right < 0);
            const Softmax softmax = softmax_of(detector, values + (y * detector->columns + x) * (1 + detector->classes));
            const int other = probability(detector, &softmax, box->label);
            if (is_before ? other >= box->score : other > box->score) return 0;
        }
    }
    return 1;
}

static void place_cell(int cell, uint32_t stride, int32_t limit, int16_t *first, int16_t *last) {
    const int32_t side = 16 * (int32_t)stride;
    *first = clipped(cell * side, limit);
    *last = clipped((cell + 1) * side, limit);
}

int detect_cells(const CellDetector *detector, const int8_t *values, Box *boxes, int room) {
    const int8_t *cell = values;
    int count = 0;
    for (int row = 0; row < detector->rows; ++row) {
        for (int column = 0; column < detector->columns; ++column, cell += 1 + detector->classes) {
            const Softmax softmax = softmax_of(detector, cell);
            Box box = {0};
            place_cell(column, detector->stride, detector->side, &box.x0, &box.x1);
            place_cell(row, detector->stride, detector->side, &box.y0, &box.y1);
            for (unsigned label = 0; label < detector->classes && !is_empty(&box); ++label) {
                box.score = probability(detector, &softmax, label);
                box.label = (uint8_t)label;
                const int is_object = box.score >= detector->least_score && is_peak(detector, values, row, column, &box);
                if (is_object) count = keep(&box, boxes, count, room);
            }
        }
    }
    return count;
}

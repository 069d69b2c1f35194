// Runs firmware/app/detect.c on a computer: decoders and outputs from standard input, boxes to standard output. Everything
// is a u32, i32 or an array as tests/firmware/test_detect.py writes it. Each buffer is an allocation of its own size, so
// that the address sanitizer sees what is read or written beside it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect.h"

#define MOST_OUTPUTS 8

static void *take(size_t bytes) {
    void *data = malloc(bytes ? bytes : 1);
    if (fread(data, 1, bytes, stdin) != bytes) exit(3);
    return data;
}

static int take_int(void) {
    int32_t *value = take(4);
    const int result = *value;
    free(value);
    return result;
}

// Answers for each of the following images; `sizes` are the bytes of the outputs, `held` is how many boxes the list holds.
static void answer(const AnchorDetector *anchors, const CellDetector *cells, int held, int room, const size_t *sizes,
                   int outputs) {
    for (int images = take_int(); images > 0; --images) {
        const int8_t *values[MOST_OUTPUTS];
        for (int i = 0; i < outputs; ++i) values[i] = take(sizes[i]);
        Box *boxes = malloc(held > 0 ? (size_t)held * sizeof *boxes : 1);
        const int32_t count =
            anchors ? detect(anchors, values, boxes, held, room) : detect_cells(cells, values[0], boxes, room);
        fwrite(&count, sizeof count, 1, stdout);
        fwrite(boxes, sizeof *boxes, (size_t)count, stdout);
        free(boxes);
        for (int i = 0; i < outputs; ++i) free((void *)values[i]);
    }
}

static void run_anchors(void) {
    AnchorDetector detector;
    AnchorOutput outputs[MOST_OUTPUTS];
    size_t sizes[MOST_OUTPUTS];
    const int room = take_int();
    detector.classes = (uint16_t)take_int();
    detector.side = (uint16_t)take_int();
    detector.least_score = (uint16_t)take_int();
    detector.overlap = (uint16_t)take_int();
    detector.output_count = (uint16_t)take_int();
    detector.outputs = outputs;
    const int candidates = take_int();
    for (int i = 0; i < detector.output_count; ++i) {
        AnchorOutput *output = outputs + i;
        output->index = (uint16_t)take_int();
        output->stride = (uint16_t)take_int();
        output->rows = (uint16_t)take_int();
        output->columns = (uint16_t)take_int();
        output->anchor_count = (uint16_t)take_int();
        output->least_objectness = (int16_t)take_int();
        output->scores = take(512);
        output->places = take(512);
        output->sizes = take(1024);
        output->anchors = take(4u * output->anchor_count);
        sizes[output->index] = (size_t)output->rows * output->columns * output->anchor_count * (5u + detector.classes);
    }
    answer(&detector, NULL, candidates, room, sizes, detector.output_count);
    for (int i = 0; i < detector.output_count; ++i) {
        free((void *)outputs[i].scores);
        free((void *)outputs[i].places);
        free((void *)outputs[i].sizes);
        free((void *)outputs[i].anchors);
    }
}

static void run_cells(void) {
    CellDetector detector;
    const int room = take_int();
    detector.classes = (uint16_t)take_int();
    detector.side = (uint16_t)take_int();
    detector.least_score = (uint16_t)take_int();
    detector.stride = (uint16_t)take_int();
    detector.rows = (uint16_t)take_int();
    detector.columns = (uint16_t)take_int();
    detector.exponentials = take(512);
    const size_t size = (size_t)detector.rows * detector.columns * (1u + detector.classes);
    answer(NULL, &detector, room, room, &size, 1);
    free((void *)detector.exponentials);
}

int main(void) {
    for (int kind = take_int(); kind != 0; kind = take_int()) {
        if (kind == 1) {
            run_anchors();
        } else {
            run_cells();
        }
    }
    return 0;
}

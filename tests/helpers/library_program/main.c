// Answers to frames: reads frames.bin, writes answers.bin. All numbers are 32 bits, the low byte first.
//
// frames.bin: how many frames, their width, height, stride and format; then the frames.
// answers.bin, for each frame: the outputs; class, probability times 32768, number of boxes; of each box the class, the
// probability likewise and its corners.

#include <stdio.h>

#include "tinytrain.h"

static uint8_t arena[TINYTRAIN_ARENA_BYTES] TINYTRAIN_ALIGNED;
static uint8_t pixels[1 << 18];

static int failed(const char *what, TinytrainStatus status) {
    if (status != TINYTRAIN_OK) printf("%s: %s\n", what, tinytrain_status_text(status));
    return status != TINYTRAIN_OK;
}

static void write_all(FILE *file, const int32_t *numbers, size_t count) { fwrite(numbers, sizeof *numbers, count, file); }

static int write_box(FILE *file, uint32_t index) {
    TinytrainBox box;
    if (failed("box", tinytrain_box(arena, index, &box))) return 1;
    const int32_t numbers[] = {(int32_t)box.class_index, (int32_t)(box.probability * 32768), box.x0, box.y0, box.x1, box.y1};
    write_all(file, numbers, 6);
    return 0;
}

static int write_answer(FILE *file) {
    for (uint32_t i = 0; i < TINYTRAIN_OUTPUTS; ++i) {
        TinytrainOutput output;
        if (failed("output", tinytrain_output(arena, i, &output))) return 1;
        fwrite(output.data, 1, output.count, file);
    }
    TinytrainResult result;
    if (failed("result", tinytrain_result(arena, &result))) return 1;
    const int32_t numbers[] = {(int32_t)result.class_index, (int32_t)(result.probability * 32768), (int32_t)result.boxes};
    write_all(file, numbers, 3);
    for (uint32_t i = 0; i < result.boxes; ++i) {
        if (write_box(file, i)) return 1;
    }
    return 0;
}

int main(void) {
    FILE *frames = fopen("frames.bin", "rb"), *answers = fopen("answers.bin", "wb");
    uint32_t head[5];
    if (!frames || !answers || fread(head, sizeof head, 1, frames) != 1) return 2;
    const TinytrainFrame frame = {pixels, (uint16_t)head[1], (uint16_t)head[2], head[3], (TinytrainFormat)head[4]};
    const size_t bytes = (size_t)head[2] * head[3];
    if (bytes > sizeof pixels) return 3;
    if (failed("init", tinytrain_init(arena, sizeof arena, NULL))) return 1;
    if (failed("self test", tinytrain_self_test(arena))) return 1;
    for (uint32_t i = 0; i < head[0]; ++i) {
        if (fread(pixels, 1, bytes, frames) != bytes) return 4;
        if (failed("input", tinytrain_input(arena, &frame)) || failed("invoke", tinytrain_invoke(arena))) return 1;
        if (write_answer(answers)) return 1;
    }
    printf("%u frames\n", (unsigned)head[0]);
    return fclose(answers) != 0;
}

// One picture through the network: here it is gray all over, in place of what a camera sends.

#include <stdio.h>
#include <string.h>

#include "tinytrain.h"

enum { kWidth = 160, kHeight = 120 };

static uint8_t arena[TINYTRAIN_ARENA_BYTES] TINYTRAIN_ALIGNED;
static uint8_t pixels[kHeight][kWidth][2];  // YUYV

static int failed(const char *what, TinytrainStatus status) {
    if (status != TINYTRAIN_OK) printf("%s: %s\n", what, tinytrain_status_text(status));
    return status != TINYTRAIN_OK;
}

int main(void) {
    printf("%s, %d bytes of arena\n", TINYTRAIN_MODEL, TINYTRAIN_ARENA_BYTES);
    if (failed("init", tinytrain_init(arena, sizeof arena, NULL))) return 1;
    if (failed("self test", tinytrain_self_test(arena))) return 1;

    memset(pixels, 128, sizeof pixels);
    const TinytrainFrame frame = {pixels, kWidth, kHeight, 0, TINYTRAIN_YUYV};
    if (failed("input", tinytrain_input(arena, &frame)) || failed("invoke", tinytrain_invoke(arena))) return 1;

    TinytrainResult result;
    if (failed("result", tinytrain_result(arena, &result))) return 1;
    if (!TINYTRAIN_DETECTS) printf("%s %.3f\n", result.label, (double)result.probability);
    for (uint32_t i = 0; i < result.boxes; ++i) {
        TinytrainBox box;
        if (failed("box", tinytrain_box(arena, i, &box))) return 1;
        printf("%s %.3f at %d,%d to %d,%d\n", box.label, (double)box.probability, (int)(box.x0 / 16), (int)(box.y0 / 16),
               (int)(box.x1 / 16), (int)(box.y1 / 16));
    }
    return 0;
}

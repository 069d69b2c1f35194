// Ticks of each call on an emulated Cortex-M4 or M7, by CMSDK timer 0 of its board: benchmarks/library.py.

#include <stdio.h>

#include "tinytrain.h"

static uint8_t arena[TINYTRAIN_ARENA_BYTES] TINYTRAIN_ALIGNED;
static uint8_t pixels[320 * 240 * 2];

typedef struct {
    uint32_t control, value, reload;
} Timer;

static volatile Timer *const timer = (volatile Timer *)0x40000000;  // counts down

int main(void) {
    const TinytrainFrame frame = {pixels, 320, 240, 0, TINYTRAIN_RGB565_BE};
    TinytrainResult result;
    timer->reload = timer->value = 0xFFFFFFFF;
    timer->control = 1;
    int status = tinytrain_init(arena, sizeof arena, NULL);
    const uint32_t begin = timer->value;
    status |= tinytrain_input(arena, &frame);
    const uint32_t given = timer->value;
    status |= tinytrain_invoke(arena);
    const uint32_t invoked = timer->value;
    status |= tinytrain_result(arena, &result);
    const uint32_t end = timer->value;
    printf("%u %u %u\n", (unsigned)(begin - given), (unsigned)(given - invoked), (unsigned)(invoked - end));
    return status;
}

// The functions of tinytrain.h. The arena holds a State, the memory of the network, a row of its input and, of a detector,
// the boxes.

#include "tinytrain.h"

#include <string.h>

#include "frame.h"
#include "model.h"
#include "network.h"

#ifndef __GNUC__
#error "this library needs GCC or Clang: arm-none-eabi-gcc, clang or armclang"
#endif

typedef enum { kAwaitsInput, kHasResult } Phase;

typedef struct {
    uint32_t mark;  // kMark: tinytrain_init() has been here
    Phase phase;
    uint32_t boxes;
    FramePlace place;  // of the last input in its frame
} State;

enum { kMark = 0x74747231, kRowBytes = (TINYTRAIN_INPUT_WIDTH * TINYTRAIN_INPUT_CHANNELS + 15) / 16 * 16 };

_Static_assert(sizeof(State) <= MODEL_STATE_BYTES, "the export has left room for the state");
_Static_assert(MODEL_STATE_BYTES + NETWORK_BYTES + kRowBytes + MODEL_BOX_BYTES <= TINYTRAIN_ARENA_BYTES,
               "the arena holds it all");

static void *network_of(const void *arena) { return (uint8_t *)arena + MODEL_STATE_BYTES; }
static int8_t *row_of(void *arena) { return (int8_t *)network_of(arena) + NETWORK_BYTES; }

static int is_aligned(const void *arena) { return (uintptr_t)arena % TINYTRAIN_ALIGNMENT == 0; }

// The state of an arena that tinytrain_init() has taken, else NULL.
static State *state_of(const void *arena) {
    State *state = (State *)arena;
    return arena && is_aligned(arena) && state->mark == kMark ? state : NULL;
}

TinytrainAbout tinytrain_about(void) {
    return (TinytrainAbout){TINYTRAIN_VERSION, TINYTRAIN_MODEL, TINYTRAIN_MODEL_CRC, TINYTRAIN_ARENA_BYTES};
}

// A place as large as the network's input itself.
static FramePlace same_place(void) {
    const FrameInput stretched = {.height = TINYTRAIN_INPUT_HEIGHT, .width = TINYTRAIN_INPUT_WIDTH, .resize = FRAME_STRETCH};
    return tinytrain_frame_place(&stretched, TINYTRAIN_INPUT_WIDTH, TINYTRAIN_INPUT_HEIGHT);
}

TinytrainStatus tinytrain_init(void *arena, size_t arena_bytes, size_t *needed_bytes) {
    if (needed_bytes) *needed_bytes = TINYTRAIN_ARENA_BYTES;
    if (!arena || arena_bytes < TINYTRAIN_ARENA_BYTES) return TINYTRAIN_ARENA_TOO_SMALL;
    if (!is_aligned(arena)) return TINYTRAIN_ARENA_MISALIGNED;
    State *state = arena;
    *state = (State){0};
    if (!tinytrain_network_init(network_of(arena))) return TINYTRAIN_ENGINE_FAILED;
    state->place = same_place();
    state->mark = kMark;
    return TINYTRAIN_OK;
}

TinytrainStatus tinytrain_input(void *arena, const TinytrainFrame *frame) {
    State *state = state_of(arena);
    if (!state) return TINYTRAIN_NOT_INITIALIZED;
    const TinytrainStatus status = tinytrain_frame_check(&tinytrain_model_input, frame);
    if (status != TINYTRAIN_OK) return status;
    state->phase = kAwaitsInput;
    state->place = tinytrain_frame_place(&tinytrain_model_input, frame->width, frame->height);
    const uint32_t count = TINYTRAIN_INPUT_WIDTH * TINYTRAIN_INPUT_CHANNELS;
    for (uint32_t row = 0; row < TINYTRAIN_INPUT_HEIGHT; ++row) {
        tinytrain_frame_row(&tinytrain_model_input, frame, &state->place, row, row_of(arena));
        if (!tinytrain_network_take(network_of(arena), row * count, row_of(arena), count)) return TINYTRAIN_NOT_NEXT;
    }
    return TINYTRAIN_OK;
}

TinytrainStatus tinytrain_input_values(void *arena, size_t first, const int8_t *values, size_t count) {
    State *state = state_of(arena);
    if (!state) return TINYTRAIN_NOT_INITIALIZED;
    if (!values || first > TINYTRAIN_INPUT_BYTES || count > TINYTRAIN_INPUT_BYTES - first) return TINYTRAIN_NOT_NEXT;
    if (!tinytrain_network_take(network_of(arena), (uint32_t)first, values, (uint32_t)count)) return TINYTRAIN_NOT_NEXT;
    state->phase = kAwaitsInput;
    state->place = same_place();
    return TINYTRAIN_OK;
}

#if TINYTRAIN_DETECTS

static Box *boxes_of(const void *arena) { return (Box *)(row_of((void *)arena) + kRowBytes); }

static uint32_t find_boxes(void *arena) {
    const int8_t *outputs[TINYTRAIN_OUTPUTS];
    for (uint32_t i = 0; i < TINYTRAIN_OUTPUTS; ++i) outputs[i] = tinytrain_network_output(network_of(arena), i);
    return (uint32_t)tinytrain_model_boxes(outputs, boxes_of(arena));
}

#endif

TinytrainStatus tinytrain_invoke(void *arena) {
    State *state = state_of(arena);
    if (!state) return TINYTRAIN_NOT_INITIALIZED;
    const NetworkRun run = tinytrain_network_invoke(network_of(arena));
    if (run == NETWORK_WITHOUT_INPUT) return TINYTRAIN_NO_INPUT;
    if (run == NETWORK_FAILED) return TINYTRAIN_ENGINE_FAILED;
#if TINYTRAIN_DETECTS
    state->boxes = find_boxes(arena);
#endif
    state->phase = kHasResult;
    return TINYTRAIN_OK;
}

// What is known of the results in an arena.
static TinytrainStatus result_status(const void *arena, const void *result) {
    const State *state = state_of(arena);
    if (!state || !result) return TINYTRAIN_NOT_INITIALIZED;
    return state->phase == kHasResult ? TINYTRAIN_OK : TINYTRAIN_NO_RESULT;
}

static const char *label_of(uint32_t class_index) {
    return class_index < MODEL_LABELS ? tinytrain_model_labels[class_index] : "";
}

#if TINYTRAIN_DETECTS

TinytrainStatus tinytrain_result(const void *arena, TinytrainResult *result) {
    const TinytrainStatus status = result_status(arena, result);
    if (status == TINYTRAIN_OK) *result = (TinytrainResult){"", 0, 0, state_of(arena)->boxes};
    return status;
}

TinytrainStatus tinytrain_box(const void *arena, uint32_t index, TinytrainBox *box) {
    const TinytrainStatus status = result_status(arena, box);
    if (status != TINYTRAIN_OK) return status;
    const State *state = state_of(arena);
    if (index >= state->boxes) return TINYTRAIN_NO_SUCH;
    const Box *found = boxes_of(arena) + index;
    const FrameAxis *x = &state->place.x, *y = &state->place.y;
    *box = (TinytrainBox){.label = label_of(found->label),
                          .class_index = found->label,
                          .probability = found->score / 32768.0f,
                          .x0 = tinytrain_frame_edge(x, found->x0),
                          .y0 = tinytrain_frame_edge(y, found->y0),
                          .x1 = tinytrain_frame_edge(x, found->x1),
                          .y1 = tinytrain_frame_edge(y, found->y1)};
    return TINYTRAIN_OK;
}

#else

// The largest value of the first output, the first of equal ones.
static uint32_t best_of(const int8_t *values) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < TINYTRAIN_CLASSES; ++i) {
        if (values[i] > values[best]) best = i;
    }
    return best;
}

// Its probability times 32768: by softmax, unless the network has computed one.
static uint32_t probability_of(const int8_t *values, uint32_t best) {
    if (MODEL_ENDS_IN_PROBABILITY) return tinytrain_model_worth[values[best] + 128];
    uint32_t total = 0;
    for (uint32_t i = 0; i < TINYTRAIN_CLASSES; ++i) total += tinytrain_model_worth[values[best] - values[i]];
    return (((uint32_t)tinytrain_model_worth[0] << 15) + total / 2) / total;
}

TinytrainStatus tinytrain_result(const void *arena, TinytrainResult *result) {
    const TinytrainStatus status = result_status(arena, result);
    if (status != TINYTRAIN_OK) return status;
    const int8_t *values = tinytrain_network_output(network_of(arena), 0);
    const uint32_t best = best_of(values);
    *result = (TinytrainResult){label_of(best), best, (float)probability_of(values, best) / 32768.0f, 0};
    return TINYTRAIN_OK;
}

TinytrainStatus tinytrain_box(const void *arena, uint32_t index, TinytrainBox *box) {
    (void)index;
    const TinytrainStatus status = result_status(arena, box);
    return status == TINYTRAIN_OK ? TINYTRAIN_NO_SUCH : status;
}

#endif

TinytrainStatus tinytrain_output(const void *arena, uint32_t index, TinytrainOutput *output) {
    const TinytrainStatus status = result_status(arena, output);
    if (status != TINYTRAIN_OK) return status;
    if (index >= TINYTRAIN_OUTPUTS) return TINYTRAIN_NO_SUCH;
    const ModelOutput *model = tinytrain_model_outputs + index;
    const int8_t *data = tinytrain_network_output(network_of(arena), index);
    *output = (TinytrainOutput){data, model->count, model->scale, model->zero_point};
    return TINYTRAIN_OK;
}

const char *tinytrain_status_text(TinytrainStatus status) {
    static const char *const texts[] = {
        [TINYTRAIN_OK] = "all is well",
        [TINYTRAIN_ARENA_TOO_SMALL] = "the arena is smaller than TINYTRAIN_ARENA_BYTES",
        [TINYTRAIN_ARENA_MISALIGNED] = "the arena does not begin at a multiple of 16: declare it TINYTRAIN_ALIGNED",
        [TINYTRAIN_NOT_INITIALIZED] = "call tinytrain_init() for this arena first, and give no null pointer",
        [TINYTRAIN_BAD_FRAME] = "the frame has no pixels, an odd width of YUV, or a stride that is shorter than a row",
        [TINYTRAIN_BAD_FORMAT] = "the model cannot take frames of this format",
        [TINYTRAIN_NOT_NEXT] = "these are not the next values of the input: 0 begins a new one",
        [TINYTRAIN_NO_INPUT] = "give the whole input first: each inference uses it up",
        [TINYTRAIN_NO_RESULT] = "call tinytrain_invoke() first: the last input has no result yet",
        [TINYTRAIN_NO_SUCH] = "there is no output or box of this number",
        [TINYTRAIN_DIFFERENT] = "the network gives other results here than on the computer that exported it",
        [TINYTRAIN_ENGINE_FAILED] = "TensorFlow Lite Micro refuses the model, or has failed",
    };
    return (uint32_t)status < sizeof texts / sizeof texts[0] ? texts[status] : "unknown status";
}

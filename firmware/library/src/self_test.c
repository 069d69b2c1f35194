// Apart from tinytrain.c, so that the golden values are linked only into programs that call this.

#include <string.h>

#include "model.h"
#include "tinytrain.h"

TinytrainStatus tinytrain_self_test(void *arena) {
    TinytrainStatus status = tinytrain_input_values(arena, 0, tinytrain_model_golden_input, TINYTRAIN_INPUT_BYTES);
    if (status == TINYTRAIN_OK) status = tinytrain_invoke(arena);
    const int8_t *golden = tinytrain_model_golden_outputs;
    for (uint32_t i = 0; i < TINYTRAIN_OUTPUTS && status == TINYTRAIN_OK; ++i) {
        TinytrainOutput output;
        status = tinytrain_output(arena, i, &output);
        if (status == TINYTRAIN_OK && memcmp(output.data, golden, output.count) != 0) status = TINYTRAIN_DIFFERENT;
        golden += tinytrain_model_outputs[i].count;
    }
    return status;
}

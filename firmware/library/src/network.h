// The network behind tinytrain.c: network_compiled.c is the network as C, network_tflm.cc TensorFlow Lite Micro. All that
// changes lies in `memory`, NETWORK_BYTES that are aligned to 16.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool tinytrain_network_init(void *memory);

// Takes the next `count` values of the input, which begin at its value `first`. False: they are not the next.
bool tinytrain_network_take(void *memory, uint32_t first, const int8_t *values, uint32_t count);

typedef enum { NETWORK_RAN, NETWORK_WITHOUT_INPUT, NETWORK_FAILED } NetworkRun;
NetworkRun tinytrain_network_invoke(void *memory);

const int8_t *tinytrain_network_output(const void *memory, uint32_t index);

#ifdef __cplusplus
}
#endif

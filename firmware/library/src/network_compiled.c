// The network as C: its activations, and behind them how far it is.

#include "app/engine.h"
#include "app/graph.h"
#include "model/sizes.h"
#include "network.h"

_Static_assert(sizeof(GraphState) <= NETWORK_STATE_BYTES, "the export has left room for the state");

// Nobody watches the operators here.
void operator_begins(void) {}
void operator_goes_on(void) {}
void operator_pauses(void) {}
void operator_ends(void) {}

static GraphState *state_of(void *memory) { return (GraphState *)((int8_t *)memory + NETWORK_BYTES - NETWORK_STATE_BYTES); }

bool tinytrain_network_init(void *memory) {
    *state_of(memory) = (GraphState){0};
    return true;
}

bool tinytrain_network_take(void *memory, uint32_t first, const int8_t *values, uint32_t count) {
    return graph_take(state_of(memory), memory, first, values, count);
}

NetworkRun tinytrain_network_invoke(void *memory) {
    return graph_invoke(state_of(memory), memory) ? NETWORK_RAN : NETWORK_WITHOUT_INPUT;
}

const int8_t *tinytrain_network_output(const void *memory, uint32_t index) {
    return (const int8_t *)memory + graph_outputs[index];
}

#include "ring.h"

static void look_up(const KernelLookup* lookup, const int8_t* input, int8_t* output, uint32_t count) {
  const int8_t* table = lookup->table + 128;
  const int8_t* end = output + count;
#pragma GCC unroll 4
  while (output != end) *output++ = table[*input++];
}

void kernel_lookup(const KernelLookup* lookup, const int8_t* input, int8_t* output) {
  look_up(lookup, input, output, lookup->count);
}

void kernel_lookup_rows(const KernelRows* rows) {
  const KernelRing* input = &rows->inputs[0];
  look_up(rows->block, ring_row(input, rows->first), rows->output, (uint32_t)(rows->count * input->step));
}

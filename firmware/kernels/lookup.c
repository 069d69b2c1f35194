#include "ring.h"

void kernel_look_up(const int8_t* table, const int8_t* input, int8_t* output, uint32_t count) {
  table += 128;
  const int8_t* end = output + count;
#pragma GCC unroll 4
  while (output != end) *output++ = table[*input++];
}

void kernel_lookup(const KernelLookup* lookup, const int8_t* input, int8_t* output) {
  kernel_look_up(lookup->table, input, output, lookup->count);
}

void kernel_lookup_rows(const KernelRows* rows) {
  const KernelLookup* lookup = rows->block;
  const KernelRing* input = &rows->inputs[0];
  kernel_look_up(lookup->table, ring_row(input, rows->first), rows->output, (uint32_t)(rows->count * input->step));
}

#include "columns.h"

void kernel_fully_connected(const KernelConv* dense, const int8_t* input, int8_t* output, void* scratch) {
  spread_all(scratch, input, dense->input_channels);
  kernel_multiply_columns(dense, 1)(dense, scratch, output);
}

#include <string.h>

#include "kernels.h"

void kernel_resize(const KernelResize* resize, const int8_t* input, int8_t* output) {
  const uint16_t *rows = resize->places, *columns = rows + resize->output_height;
  const size_t channels = resize->channels;
  for (int y = 0; y < resize->output_height; ++y) {
    const int8_t* row = input + channels * resize->input_width * rows[y];
    for (int x = 0; x < resize->output_width; ++x) {
      memcpy(output, row + channels * columns[x], channels);
      output += channels;
    }
  }
}

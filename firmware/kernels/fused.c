#include "kernels.h"

static KernelRing ring_of(const KernelMap* map, const int8_t* arena) {
  return (KernelRing){map->constant ? map->constant : arena + map->offset, map->rows, map->step};
}

void kernel_fused(const KernelFused* fused, int8_t* arena) {
  int32_t done[KERNEL_MOST_STAGES] = {0};
  for (const uint8_t* entry = fused->schedule; entry[1] != 0; entry += 2) {
    const KernelStage* stage = &fused->stages[entry[0]];
    const KernelMap *first = &fused->maps[stage->inputs[0]], *second = &fused->maps[stage->inputs[1]];
    const KernelMap* output = &fused->maps[stage->output];
    int32_t* rows = &done[entry[0]];
    int8_t* to = arena + output->offset + *rows % output->rows * output->step;
    stage->run(&(KernelRows){stage->block, {ring_of(first, arena), ring_of(second, arena)}, to, *rows, entry[1],
                             arena + fused->scratch});
    *rows += entry[1];
  }
}

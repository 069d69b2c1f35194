#include "kernels.h"

static KernelRing ring_of(const KernelMap* map, const int8_t* arena) {
  return (KernelRing){map->constant ? map->constant : arena + map->offset, map->rows, map->step};
}

int32_t kernel_fused_next(const KernelFused* fused, KernelProgress* progress, int8_t* arena) {
  const int number = progress->next[0], count = progress->next[1];
  const KernelStage* stage = &fused->stages[number];
  const KernelMap *first = &fused->maps[stage->inputs[0]], *second = &fused->maps[stage->inputs[1]];
  const KernelMap* output = &fused->maps[stage->output];
  const int32_t done = progress->done[number];
  progress->next += 2;
  progress->done[number] = done + count;
  if (!stage->run) return done + count;
  int8_t* to = arena + output->offset + done % output->rows * output->step;
  stage->run(&(KernelRows){stage->block, {ring_of(first, arena), ring_of(second, arena)}, to, done, count,
                           arena + fused->scratch});
  return 0;
}

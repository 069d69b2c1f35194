#include "inference.h"

#include <cstring>

#include "board.h"
#include "engine.h"
#include "model/model_data.h"
#include "post_mortem.h"
#include "ticks.h"

namespace inference {
namespace {

// Code around the arena, stack excluded: ring, frames, .data and .bss of the libraries.
constexpr int64_t kOtherRamBytes = 8 * 1024;
constexpr bool kImageFits =
    int64_t{BOARD_RAM_BYTES} - STACK_BYTES - kOtherRamBytes - int64_t{kArenaBytes} >= int64_t{kInputBytes};
#ifdef KEEP_IMAGE
constexpr bool kKeepImage = KEEP_IMAGE;
#else
constexpr bool kKeepImage = kImageFits;
#endif

alignas(16) __attribute__((section(".bss.arena"))) uint8_t arena[kArenaBytes];
__attribute__((section(".bss.image"))) int8_t image[kKeepImage ? kInputBytes : 1];
int8_t first_outputs[kKeepImage ? 1 : kOutputBytes];  // one after the other

const char* error = "the model was not started";
uint64_t start_ticks = 0;
bool image_is_used_up = false;

uint32_t run_count = 0;
uint32_t running = 0;  // index of the operator that runs
bool profiling = false;
uint64_t operator_began = 0;
uint32_t operator_ticks[kOperatorCount > 0 ? kOperatorCount : 1];

bool SizesFit() {
  if (engine_input_bytes() != kInputBytes || engine_output_count() != kOutputCount) return false;
  for (uint32_t i = 0; i < kOutputCount; ++i) {
    if (engine_output(i).bytes != kOutputs[i].bytes) return false;
  }
  return true;
}

bool RunOnce() {
  running = 0;
  if (kKeepImage) std::memcpy(engine_input(), image, kInputBytes);
  const bool ran = engine_invoke();
  ++run_count;
  post_mortem_idle();
  return ran;
}

void KeepOutputs() {
  if (kKeepImage || image_is_used_up) return;
  for (uint32_t i = 0; i < kOutputCount; ++i) {
    std::memcpy(first_outputs + kOutputs[i].offset, engine_output(i).data, kOutputs[i].bytes);
  }
  image_is_used_up = true;
}

}  // namespace

bool Start() {
  const uint64_t before = ticks_now();
  error = "";
  if (!engine_init(arena, kArenaBytes)) {
    error = engine_error();
    if (error[0] == '\0') error = "the engine failed without a reason";
  } else if (!SizesFit()) {
    error = "model_data.h does not describe this model: it has another input or other outputs";
  }
  start_ticks = ticks_now() - before;
  return IsReady();
}

const char* Error() { return error; }
bool IsReady() { return error[0] == '\0'; }
uint64_t StartTicks() { return start_ticks; }

int8_t* NewImage() {
  image_is_used_up = false;
  return kKeepImage ? image : engine_input();
}

const int8_t* Image() { return kKeepImage ? image : engine_input(); }

bool ImageIsKept() { return !image_is_used_up; }

bool Run(uint32_t count, Runs* runs, Stop stop) {
  *runs = {};
  while (runs->count < count && (runs->count == 0 || stop == nullptr || !stop())) {
    const uint64_t before = ticks_now();
    if (!RunOnce()) return false;
    runs->ticks += ticks_now() - before;
    ++runs->count;
    KeepOutputs();
  }
  return true;
}

uint32_t RunCount() { return run_count; }

const int8_t* Output(uint32_t index) {
  return kKeepImage ? engine_output(index).data : first_outputs + kOutputs[index].offset;
}

bool Profile() {
  Runs runs;
  profiling = true;
  const bool ran = Run(1, &runs);
  profiling = false;
  return ran;
}

uint32_t OperatorTicks(uint32_t index) { return index < kOperatorCount ? operator_ticks[index] : 0; }

}  // namespace inference

// The engine calls these around each operator. Feeding the watchdog here lets an inference take as long as it needs while
// an operator that never ends is caught.
extern "C" void operator_begins(void) {
  board_watchdog_feed();
  post_mortem_operator(inference::running);
  inference::operator_began = ticks_now();
}

extern "C" void operator_ends(void) {
  if (inference::profiling && inference::running < kOperatorCount) {
    inference::operator_ticks[inference::running] = static_cast<uint32_t>(ticks_now() - inference::operator_began);
  }
  ++inference::running;
}

#include "inference.h"

#include <cstring>

#include "board.h"
#include "crc32.h"
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

// Of an input that is not kept: bytes and CRC-32 of what has come, what its engine took for them, and whether an inference
// has used it up.
uint32_t put_bytes = 0, put_crc = 0;
uint64_t put_ticks = 0;
bool image_is_used_up = false;

uint32_t run_count = 0;
uint32_t running = 0;  // index of the operator that runs
uint64_t operator_began = 0;
uint32_t operator_ticks[kOperatorCount > 0 ? kOperatorCount : 1];

bool SizesFit() {
  if (engine_input_bytes() != kInputBytes || engine_output_count() != kOutputCount) return false;
  for (uint32_t i = 0; i < kOutputCount; ++i) {
    if (engine_output(i).bytes != kOutputs[i].bytes) return false;
  }
  return true;
}

void BeginInput() {
  running = 0;
  std::memset(operator_ticks, 0, sizeof operator_ticks);
}

// Runs one inference on `values`, or on what Put() has handed over if that is nullptr, and adds its ticks.
bool RunOnce(const int8_t* values, Runs* runs) {
  const uint64_t before = ticks_now();
  if (values != nullptr) {
    BeginInput();
    engine_input(0, values, kInputBytes);
  } else {
    runs->ticks += put_ticks;
  }
  const bool ran = engine_invoke();
  ++run_count;
  post_mortem_idle();
  runs->ticks += ticks_now() - before;
  runs->count += ran;
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

bool KeepsImage() { return kKeepImage; }

bool Put(uint32_t first, const int8_t* values, uint32_t count) {
  if (kKeepImage) {
    if (first > kInputBytes || count > kInputBytes - first) return false;
    std::memcpy(image + first, values, count);
    return true;
  }
  if (first == 0) {
    BeginInput();
    put_bytes = put_crc = 0;
    put_ticks = 0;
    image_is_used_up = false;
  }
  const uint64_t before = ticks_now();
  const bool taken = engine_input(first, values, count);
  post_mortem_idle();
  if (!taken) return false;
  put_ticks += ticks_now() - before;
  put_bytes += count;
  put_crc = Crc32(values, count, put_crc);
  return true;
}

const int8_t* Image() { return kKeepImage ? image : nullptr; }

bool ImageIsUsedUp() { return image_is_used_up; }

bool ImageIs(uint32_t crc) {
  if (kKeepImage) return crc == Crc32(image, kInputBytes);
  return !image_is_used_up && put_bytes == kInputBytes && put_crc == crc;
}

bool Run(uint32_t count, Runs* runs, Stop stop) {
  *runs = {};
  while (runs->count < count && (runs->count == 0 || stop == nullptr || !stop())) {
    const int8_t* values = kKeepImage ? image : image_is_used_up ? kGoldenInput : nullptr;
    if (!RunOnce(values, runs)) return false;
    KeepOutputs();
  }
  return true;
}

bool RunGolden(Runs* runs) {
  *runs = {};
  image_is_used_up = false;
  const bool ran = RunOnce(kGoldenInput, runs);
  KeepOutputs();
  return ran;
}

uint32_t RunCount() { return run_count; }

const int8_t* Output(uint32_t index) {
  return kKeepImage ? engine_output(index).data : first_outputs + kOutputs[index].offset;
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

// Fused operators are one for the engine, and may take longer than the watchdog waits.
extern "C" void operator_goes_on(void) { board_watchdog_feed(); }

extern "C" void operator_pauses(void) {
  if (inference::running < kOperatorCount) {
    inference::operator_ticks[inference::running] += static_cast<uint32_t>(ticks_now() - inference::operator_began);
  }
}

extern "C" void operator_ends(void) {
  operator_pauses();
  ++inference::running;
}

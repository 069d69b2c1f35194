// The model and its input, for the self test and both protocols: what lies in the input, how long an inference takes and
// where the time goes.
#pragma once

#include <cstdint>

namespace inference {

// Plans the model into the arena. False: Error() says why.
bool Start();
const char* Error();  // "" if the model is ready
bool IsReady();       // nothing below may be called before: input and outputs are nowhere
uint64_t StartTicks();

// The input, kInputBytes of int8: where to write a new one, and what is there.
int8_t* NewImage();
const int8_t* Image();

// Returns whether Image() still holds what was written: where RAM has no room for a copy beside the arena, it is the
// model's own input, which an inference uses up.
bool ImageIsKept();

// Runs `count` inferences on the input and sets `runs` to how many they were and what they took together, copying the
// input each time included. `stop` is asked before each but the first, and ends them. False: the engine failed.
struct Runs {
  uint32_t count;
  uint64_t ticks;
};
using Stop = bool (*)();
bool Run(uint32_t count, Runs* runs, Stop stop = nullptr);

// Returns how many inferences have run since the start: the outputs are those of the last one.
uint32_t RunCount();

// Returns output `index`, kOutputs[index].bytes of int8, for the input as it was written.
const int8_t* Output(uint32_t index);

// Runs one inference and remembers the ticks of each operator.
bool Profile();
uint32_t OperatorTicks(uint32_t index);

}  // namespace inference

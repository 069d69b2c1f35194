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

// Returns whether the input is kept beside the arena. Where RAM has no room for that, its values go to the engine as they
// come, and the first inference uses them up.
bool KeepsImage();

// Writes `count` values of the input, from its byte `first` on. If it is not kept, they must be the next ones, and byte 0
// begins a new input. False: there is no such place, or they are not the next.
bool Put(uint32_t first, const int8_t* values, uint32_t count);

// Returns the input, kInputBytes of int8, or nullptr if it is not kept.
const int8_t* Image();

// Returns whether an inference has used the input up.
bool ImageIsUsedUp();

// Returns whether the next inference is of the input of this CRC-32.
bool ImageIs(uint32_t crc);

// Runs `count` inferences on the input and sets `runs` to how many they were and what they took together, handing over the
// input included. If the input is not kept, all but the first are of the golden input. `stop` is asked before each but the
// first, and ends them. False: the engine failed.
struct Runs {
  uint32_t count;
  uint64_t ticks;
};
using Stop = bool (*)();
bool Run(uint32_t count, Runs* runs, Stop stop = nullptr);

// Runs one inference of the golden input.
bool RunGolden(Runs* runs);

// Returns how many inferences have run since the start: the outputs are those of the last one.
uint32_t RunCount();

// Returns output `index`, kOutputs[index].bytes of int8, for the input as it was written.
const int8_t* Output(uint32_t index);

// Returns the ticks of an operator in the last inference.
uint32_t OperatorTicks(uint32_t index);

}  // namespace inference

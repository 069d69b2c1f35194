#include "binary_protocol.h"

#include <algorithm>
#include <cstring>

#include "board.h"
#include "boxes.h"
#include "console.h"
#include "crc32.h"
#include "engine.h"
#include "cobs_framing.h"
#include "inference.h"
#include "model/model_data.h"
#include "post_mortem.h"
#include "serial.h"
#include "ticks.h"

namespace binary_protocol {
namespace {

enum Type : uint8_t {
  kHello = 1,
  kBaud = 2,
  kImage = 3,
  kInfer = 4,
  kOutput = 5,
  kProfile = 6,
  kStatus = 7,
  kReset = 8,
  kOutputInfo = 9,
  kBoxes = 10,
  kAnswer = 0x80,
  kError = 0xFF,
};
enum Error : uint8_t { kUnknownType = 1, kWrongPayload = 2, kWrongImage = 3, kEngineFailed = 4, kStopped = 5 };

constexpr uint16_t kVersion = 4;
constexpr uint64_t kPatienceTicks = uint64_t{2} * BOARD_CLOCK_HZ;  // a tick is a cycle of the clock
using cobs_framing::kCrcBytes;
using cobs_framing::kFrameBytes;
using cobs_framing::kHeaderBytes;
using cobs_framing::kPayloadBytes;

// Numbers go in and out as the core has them: little-endian.
class Reader {
 public:
  Reader(const uint8_t* data, uint32_t bytes) : next_(data), left_(bytes) {}
  template <typename T>
  T Take() {
    T value{};
    if (left_ < sizeof value) {
      short_ = true;
      return value;
    }
    std::memcpy(&value, next_, sizeof value);
    next_ += sizeof value;
    left_ -= sizeof value;
    return value;
  }
  const uint8_t* rest() const { return next_; }
  uint32_t left() const { return left_; }
  bool ended() const { return !short_ && left_ == 0; }  // the payload had the right size
  bool is_short() const { return short_; }

 private:
  const uint8_t* next_;
  uint32_t left_;
  bool short_ = false;
};

// Kept to be sent again.
uint8_t answer[kFrameBytes];
uint32_t answer_bytes = 0;

uint32_t fallback_baud = 0;  // of before, while a new rate has not proven itself
uint32_t baud = BAUD;
uint64_t baud_changed = 0;

uint32_t inferred_crc = 0, inferred_run = 0;  // input and number of the last inference that a host asked for

uint8_t running[kHeaderBytes];               // the header of the request that is executed
cobs_framing::Frame waiting = {nullptr, 0};  // another one, which came meanwhile

void Begin(uint8_t type) {
  answer[0] = type;
  answer_bytes = kHeaderBytes;
}

void PutBytes(const void* data, size_t bytes) {
  const size_t fit = std::min<size_t>(bytes, kHeaderBytes + kPayloadBytes - answer_bytes);
  std::memcpy(answer + answer_bytes, data, fit);
  answer_bytes += fit;
}

template <typename T>
void Put(T value) {
  PutBytes(&value, sizeof value);
}

void PutText(const char* text) { PutBytes(text, std::strlen(text) + 1); }
void Append(const char* text) { PutBytes(text, std::strlen(text)); }

void Fail(Error code, const char* text) {
  Begin(kError);
  Put<uint8_t>(code);
  Append(text);
}

void FailStopped(uint32_t done, uint32_t count) {
  char digits[kUnsignedDigits];
  Fail(kStopped, "another request came after ");
  Append(unsigned_text(done, digits));
  Append(" of ");
  Append(unsigned_text(count, digits));
  Append(" inferences");
}

// A host that has not waited long enough sends the request that runs again; any other one says that it waits no more.
// Its frame takes the place of the one that is executed, of which only `running` is still needed.
bool AnotherRequestCame() {
  for (int byte; waiting.data == nullptr && (byte = serial_read()) >= 0;) {
    if (byte != 0 && !cobs_framing::IsOpen()) continue;  // text
    const cobs_framing::Frame frame = cobs_framing::Receive(static_cast<uint8_t>(byte));
    if (frame.data != nullptr && std::memcmp(frame.data, running, sizeof running) != 0) waiting = frame;
  }
  return waiting.data != nullptr;
}

void SendAnswer() { cobs_framing::Write(answer, answer_bytes); }

void Finish(uint16_t sequence) {
  const auto length = static_cast<uint16_t>(answer_bytes - kHeaderBytes);
  std::memcpy(answer + 1, &sequence, sizeof sequence);
  std::memcpy(answer + 3, &length, sizeof length);
  const uint32_t crc = Crc32(answer, answer_bytes);
  std::memcpy(answer + answer_bytes, &crc, sizeof crc);
  answer_bytes += kCrcBytes;
}

void Hello(Reader payload) {
  if (payload.Take<uint16_t>() != kVersion || !payload.ended()) return Fail(kWrongPayload, "HELLO takes version 4");
  Begin(kHello | kAnswer);
  Put<uint16_t>(kVersion);
  Put<uint16_t>(kPayloadBytes);
  Put<uint32_t>(kModelCrc);
  Put<uint32_t>(kModelBytes);
  Put<uint32_t>(kInputBytes);
  Put<uint32_t>(kOutputBytes);
  Put<uint32_t>(kArenaBytes);
  const bool ready = inference::IsReady();
  Put<uint32_t>(ready ? engine_arena_used_bytes() : 0);
  Put<uint32_t>(stack_bytes());
  Put<uint32_t>(kOutputCount);
  Put<uint32_t>(ready ? engine_operator_count() : 0);
  Put<uint32_t>(BOARD_CLOCK_HZ);
  Put<uint32_t>(BOARD_COUNTS);
  Put<uint32_t>(BOARD_TICKS);
  Put<uint32_t>(boxes::kRoom);
  Put<uint32_t>(boxes::kCrc);
  Put<uint32_t>(inference::KeepsImage());
  for (const char* text : {BOARD_NAME, engine_name(), kModelName, BOARD_COUNTER, post_mortem_text()}) PutText(text);
}

void Baud(Reader payload) {
  const auto wanted = payload.Take<uint32_t>();
  if (!payload.ended() || wanted == 0) return Fail(kWrongPayload, "BAUD takes a rate, u32");
  Begin(kBaud | kAnswer);
  Put<uint32_t>(wanted);
}

// After the answer, which still goes out at the old rate.
void ChangeBaud() {
  uint32_t wanted;
  std::memcpy(&wanted, answer + kHeaderBytes, sizeof wanted);
  if (wanted == baud || !board_set_baud(wanted)) return;
  fallback_baud = baud;
  baud = wanted;
  baud_changed = ticks_now();
}

bool EngineIsReady() {
  if (!inference::IsReady()) Fail(kEngineFailed, inference::Error());
  return inference::IsReady();
}

bool PutImage(uint32_t offset, const Reader& values) {
  return inference::Put(offset, reinterpret_cast<const int8_t*>(values.rest()), values.left());
}

// Where the input is kept: no answer, and INFER says what is wrong.
void Image(Reader payload) {
  const auto offset = payload.Take<uint32_t>();
  if (!payload.is_short() && inference::IsReady()) PutImage(offset, payload);
}

// Where it is not: the engine computes what these values allow, so the host waits for the answer.
void NextOfImage(Reader payload) {
  const auto offset = payload.Take<uint32_t>();
  if (payload.is_short()) return Fail(kWrongPayload, "IMAGE takes an offset and values");
  if (!EngineIsReady()) return;
  if (!PutImage(offset, payload)) return Fail(kWrongImage, "these values are not the next ones of the input");
  Begin(kImage | kAnswer);
}

// All outputs, one after the other, from `offset` on, as much as fits.
void PutOutputs(uint32_t offset) {
  for (uint32_t i = 0; i < kOutputCount; ++i) {
    const uint32_t begin = std::max(offset, kOutputs[i].offset), end = kOutputs[i].offset + kOutputs[i].bytes;
    if (begin < end) PutBytes(inference::Output(i) + begin - kOutputs[i].offset, end - begin);
  }
}

uint32_t OutputsCrc() {
  uint32_t crc = 0;
  for (uint32_t i = 0; i < kOutputCount; ++i) crc = Crc32(inference::Output(i), kOutputs[i].bytes, crc);
  return crc;
}

void Infer(Reader payload) {
  const auto crc = payload.Take<uint32_t>();
  const auto count = payload.Take<uint32_t>();
  if (!payload.ended() || count == 0) return Fail(kWrongPayload, "INFER takes a CRC-32 and a count from 1");
  if (!EngineIsReady()) return;
  if (!inference::ImageIs(crc)) return Fail(kWrongImage, "the input is not the one of this CRC-32");
  inference::Runs runs;
  if (!inference::Run(count, &runs, AnotherRequestCame)) return Fail(kEngineFailed, engine_error());
  if (runs.count < count) return FailStopped(runs.count, count);
  inferred_crc = crc;
  inferred_run = inference::RunCount();
  Begin(kInfer | kAnswer);
  Put<uint32_t>(count);
  Put<uint64_t>(runs.ticks);
  Put<uint32_t>(OutputsCrc());
  PutOutputs(0);
}

void Output(Reader payload) {
  const auto offset = payload.Take<uint32_t>();
  if (!payload.ended() || offset >= kOutputBytes) return Fail(kWrongPayload, "OUTPUT takes an offset into the outputs");
  if (!EngineIsReady()) return;
  Begin(kOutput | kAnswer);
  PutOutputs(offset);
}

void OutputInfo(Reader payload) {
  const auto index = payload.Take<uint16_t>();
  if (!payload.ended() || index >= kOutputCount) {
    return Fail(kWrongPayload, "OUTPUT_INFO takes the number of an output");
  }
  if (!EngineIsReady()) return;
  const EngineOutput output = engine_output(index);
  Begin(kOutputInfo | kAnswer);
  Put<uint32_t>(output.bytes);
  Put<float>(output.scale);
  Put<int32_t>(output.zero_point);
  Put<uint32_t>(output.rank);
  for (size_t i = 0; i < output.rank; ++i) Put<uint32_t>(output.shape[i]);
}

// Boxes of the last INFER: decoded for the first of them, then read on.
void Boxes(Reader payload) {
  const auto crc = payload.Take<uint32_t>();
  const auto first = payload.Take<uint16_t>();
  if (!payload.ended()) return Fail(kWrongPayload, "BOXES takes a CRC-32 and the number of a box");
  if (!EngineIsReady()) return;
  if (inferred_run == 0 || inferred_run != inference::RunCount() || crc != inferred_crc) {
    return Fail(kWrongImage, "the last inference was not of the input of this CRC-32");
  }
  if (first == 0) boxes::Decode();
  if (first > 0 && first >= boxes::Count()) return Fail(kWrongPayload, "BOXES: there are not so many boxes");
  Begin(kBoxes | kAnswer);
  Put<uint16_t>(boxes::Count());
  Put<uint16_t>(first);
  Put<uint32_t>(boxes::Ticks());
  const uint32_t fit = (kPayloadBytes - 8) / sizeof(Box);
  PutBytes(boxes::List() + first, std::min(boxes::Count() - first, fit) * sizeof(Box));
}

void Profile(Reader payload) {
  const auto crc = payload.Take<uint32_t>();
  const auto first = payload.Take<uint16_t>();
  if (!payload.ended() || (first != 0 && first >= kOperatorCount)) {
    return Fail(kWrongPayload, "PROFILE takes a CRC-32 and the number of an operator");
  }
  if (!EngineIsReady()) return;
  if (first == 0) {
    if (!inference::ImageIs(crc)) return Fail(kWrongImage, "the input is not the one of this CRC-32");
    inference::Runs runs;
    if (!inference::Run(1, &runs)) return Fail(kEngineFailed, engine_error());
  }
  Begin(kProfile | kAnswer);
  Put<uint16_t>(kOperatorCount);
  Put<uint16_t>(first);
  for (uint32_t i = first; i < kOperatorCount && i - first < (kPayloadBytes - 4) / 4; ++i) {
    Put<uint32_t>(inference::OperatorTicks(i));
  }
}

void Status(Reader payload) {
  if (!payload.ended()) return Fail(kWrongPayload, "STATUS takes nothing");
  Begin(kStatus | kAnswer);
  Put<uint64_t>(microseconds_now());
  Put<uint32_t>(stack_used_bytes());
  Put<uint32_t>(stack_bytes());
  Put<uint32_t>(serial_lost_bytes());
  Put<uint32_t>(cobs_framing::Damaged());
  Put<uint32_t>(serial_line_errors());
}

void Reset(Reader payload) {
  if (!payload.ended()) return Fail(kWrongPayload, "RESET takes nothing");
  Begin(kReset | kAnswer);
}

void Execute(uint8_t type, Reader payload) {
  switch (type) {
    case kHello: return Hello(payload);
    case kBaud: return Baud(payload);
    case kImage: return NextOfImage(payload);
    case kInfer: return Infer(payload);
    case kOutput: return Output(payload);
    case kProfile: return Profile(payload);
    case kStatus: return Status(payload);
    case kReset: return Reset(payload);
    case kOutputInfo: return OutputInfo(payload);
    case kBoxes:
      if constexpr (boxes::kRoom > 0) return Boxes(payload);
      return Fail(kUnknownType, "the model is no detector");
    default: return Fail(kUnknownType, "no such type");
  }
}

// A request whose answer was lost comes again with its number, and is answered again without being executed again.
bool WasAnswered(uint8_t type, uint16_t sequence) {
  uint16_t answered;
  std::memcpy(&answered, answer + 1, sizeof answered);
  return answer_bytes > 0 && type != kHello && answered == sequence;
}

void Answer(uint8_t type, uint16_t sequence, Reader payload) {
  if (!WasAnswered(type, sequence)) {
    Execute(type, payload);
    Finish(sequence);
  }
  SendAnswer();
  if (answer[0] == (kBaud | kAnswer)) ChangeBaud();
  if (answer[0] == (kReset | kAnswer)) restart();
}

void Handle(const cobs_framing::Frame& frame) {
  fallback_baud = 0;
  std::memcpy(running, frame.data, sizeof running);
  uint16_t sequence;
  std::memcpy(&sequence, frame.data + 1, sizeof sequence);
  const Reader payload(frame.data + kHeaderBytes, frame.bytes - kHeaderBytes - kCrcBytes);
  if (frame.data[0] == kImage && inference::KeepsImage()) {
    Image(payload);
  } else {
    Answer(frame.data[0], sequence, payload);
  }
}

}  // namespace

void Receive(uint8_t byte) {
  cobs_framing::Frame frame = cobs_framing::Receive(byte);
  while (frame.data != nullptr) {
    Handle(frame);
    frame = waiting;
    waiting = {nullptr, 0};
  }
}

void Idle() {
  cobs_framing::Idle();
  if (fallback_baud != 0 && ticks_now() - baud_changed > kPatienceTicks) {
    board_set_baud(fallback_baud);
    baud = fallback_baud;
    fallback_baud = 0;
  }
}

}  // namespace binary_protocol

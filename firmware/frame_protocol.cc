#include "frame_protocol.h"

#include <algorithm>
#include <cstring>

#include "board.h"
#include "crc32.h"
#include "engine.h"
#include "inference.h"
#include "model/model_data.h"
#include "post_mortem.h"
#include "serial.h"
#include "ticks.h"

namespace frame_protocol {
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
  kAnswer = 0x80,
  kError = 0xFF,
};
enum Error : uint8_t { kUnknownType = 1, kWrongPayload = 2, kWrongImage = 3, kEngineFailed = 4 };

constexpr uint16_t kVersion = 1;
constexpr uint32_t kPayloadBytes = 512;
constexpr uint32_t kHeaderBytes = 5, kCrcBytes = 4;  // type, sequence, length; CRC-32
constexpr uint32_t kFrameBytes = kHeaderBytes + kPayloadBytes + kCrcBytes;
constexpr uint64_t kPatienceTicks = uint64_t{2} * BOARD_CLOCK_HZ;  // a tick is a cycle of the clock

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

// The frame that is received, and the answer, kept to be sent again.
uint8_t frame[kFrameBytes], answer[kFrameBytes];
uint32_t frame_bytes = 0, answer_bytes = 0;

bool is_open = false, is_damaged = false;
uint8_t block_left = 0;  // COBS: bytes until the next code byte
bool zero_follows = false;
uint64_t last_byte = 0;  // when it came, in ticks
uint32_t damaged_frames = 0;

uint32_t fallback_baud = 0;  // of before, while a new rate has not proven itself
uint32_t baud = BAUD;
uint64_t baud_changed = 0;

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

void Fail(Error code, const char* text) {
  Begin(kError);
  Put<uint8_t>(code);
  PutBytes(text, std::strlen(text));
}

// COBS (Cheshire and Baker 1999): each run of up to 254 bytes without a zero is preceded by its length + 1; a shorter run
// stands for itself and a zero.
void WriteFramed(const uint8_t* data, uint32_t bytes) {
  board_write(0);
  for (uint32_t begin = 0;;) {
    uint32_t run = 0;
    while (begin + run < bytes && run < 254 && data[begin + run] != 0) ++run;
    board_write(static_cast<char>(run + 1));
    for (uint32_t i = 0; i < run; ++i) board_write(static_cast<char>(data[begin + i]));
    begin += run;
    if (begin >= bytes) break;
    if (run < 254) ++begin;  // the zero that the run stands for
  }
  board_write(0);
}

void SendAnswer() { WriteFramed(answer, answer_bytes); }

void Finish(uint16_t sequence) {
  const auto length = static_cast<uint16_t>(answer_bytes - kHeaderBytes);
  std::memcpy(answer + 1, &sequence, sizeof sequence);
  std::memcpy(answer + 3, &length, sizeof length);
  const uint32_t crc = Crc32(answer, answer_bytes);
  std::memcpy(answer + answer_bytes, &crc, sizeof crc);
  answer_bytes += kCrcBytes;
}

uint32_t ImageCrc() { return Crc32(inference::Image(), kInputBytes); }

void Hello(Reader payload) {
  if (payload.Take<uint16_t>() != kVersion || !payload.ended()) return Fail(kWrongPayload, "HELLO takes version 1");
  Begin(kHello | kAnswer);
  Put<uint16_t>(kVersion);
  Put<uint16_t>(kPayloadBytes);
  Put<uint32_t>(Crc32(kModel, kModelBytes));
  Put<uint32_t>(kModelBytes);
  Put<uint32_t>(kInputBytes);
  Put<uint32_t>(kOutputBytes);
  Put<uint32_t>(kArenaBytes);
  const bool ready = inference::Error()[0] == '\0';
  Put<uint32_t>(ready ? engine_arena_used_bytes() : 0);
  Put<uint32_t>(stack_bytes());
  Put<uint32_t>(ready ? engine_operator_count() : 0);
  Put<uint32_t>(BOARD_CLOCK_HZ);
  Put<uint32_t>(BOARD_COUNTS);
  Put<uint32_t>(BOARD_TICKS);
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

void Image(Reader payload) {
  const auto offset = payload.Take<uint32_t>();
  if (payload.is_short() || offset > kInputBytes || payload.left() > kInputBytes - offset) return;
  std::memcpy(inference::NewImage() + offset, payload.rest(), payload.left());
}

void PutOutput(uint32_t offset) {
  PutBytes(inference::Output() + offset, kOutputBytes - offset);
}

bool EngineIsReady() {
  if (inference::Error()[0] != '\0') Fail(kEngineFailed, inference::Error());
  return inference::Error()[0] == '\0';
}

void Infer(Reader payload) {
  const auto crc = payload.Take<uint32_t>();
  const auto count = payload.Take<uint32_t>();
  if (!payload.ended() || count == 0) return Fail(kWrongPayload, "INFER takes a CRC-32 and a count from 1");
  if (!EngineIsReady()) return;
  if (crc != ImageCrc()) return Fail(kWrongImage, "the input is not the one of this CRC-32");
  uint64_t ticks;
  if (!inference::Run(count, &ticks)) return Fail(kEngineFailed, engine_error());
  Begin(kInfer | kAnswer);
  Put<uint32_t>(count);
  Put<uint64_t>(ticks);
  PutOutput(0);
}

void Output(Reader payload) {
  const auto offset = payload.Take<uint32_t>();
  if (!payload.ended() || offset >= kOutputBytes) return Fail(kWrongPayload, "OUTPUT takes an offset into the output");
  if (!EngineIsReady()) return;
  Begin(kOutput | kAnswer);
  PutOutput(offset);
}

void Profile(Reader payload) {
  const auto crc = payload.Take<uint32_t>();
  const auto first = payload.Take<uint16_t>();
  if (!payload.ended() || (first != 0 && first >= kOperatorCount)) {
    return Fail(kWrongPayload, "PROFILE takes a CRC-32 and the number of an operator");
  }
  if (!EngineIsReady()) return;
  if (first == 0) {
    if (crc != ImageCrc()) return Fail(kWrongImage, "the input is not the one of this CRC-32");
    if (!inference::Profile()) return Fail(kEngineFailed, engine_error());
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
  Put<uint32_t>(damaged_frames);
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
    case kInfer: return Infer(payload);
    case kOutput: return Output(payload);
    case kProfile: return Profile(payload);
    case kStatus: return Status(payload);
    case kReset: return Reset(payload);
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

bool IsSound() {
  if (is_damaged || block_left != 0 || frame_bytes < kHeaderBytes + kCrcBytes) return false;
  uint16_t length;
  uint32_t crc;
  std::memcpy(&length, frame + 3, sizeof length);
  std::memcpy(&crc, frame + frame_bytes - kCrcBytes, sizeof crc);
  return length == frame_bytes - kHeaderBytes - kCrcBytes && crc == Crc32(frame, frame_bytes - kCrcBytes);
}

void Close() {
  if (!IsSound()) {
    ++damaged_frames;
    return;
  }
  fallback_baud = 0;
  uint16_t sequence;
  std::memcpy(&sequence, frame + 1, sizeof sequence);
  const Reader payload(frame + kHeaderBytes, frame_bytes - kHeaderBytes - kCrcBytes);
  if (frame[0] == kImage) {
    Image(payload);
  } else {
    Answer(frame[0], sequence, payload);
  }
}

void Store(uint8_t byte) {
  if (frame_bytes == kFrameBytes) {
    is_damaged = true;
  } else {
    frame[frame_bytes++] = byte;
  }
}

// A code byte: what the block before it stands for is only stored now, since at the frame's end it stands for nothing.
void StartBlock(uint8_t code) {
  if (zero_follows) Store(0);
  block_left = code - 1;
  zero_follows = code != 255;
}

void Open() {
  is_open = true;
  is_damaged = false;
  frame_bytes = 0;
  block_left = 0;
  zero_follows = false;
}

bool IsEmpty() { return frame_bytes == 0 && block_left == 0 && !zero_follows; }

}  // namespace

bool IsOpen() { return is_open; }

void Receive(uint8_t byte) {
  last_byte = ticks_now();
  if (byte == 0) {
    if (!is_open || IsEmpty()) return Open();  // a doubled 0x00 is no end of a frame
    is_open = false;
    return Close();
  }
  if (block_left == 0) return StartBlock(byte);
  --block_left;
  Store(byte);
}

void Idle() {
  if (is_open && ticks_now() - last_byte > kPatienceTicks) {
    damaged_frames += IsEmpty() ? 0 : 1;
    is_open = false;
  }
  if (fallback_baud != 0 && ticks_now() - baud_changed > kPatienceTicks) {
    board_set_baud(fallback_baud);
    baud = fallback_baud;
    fallback_baud = 0;
  }
}

}  // namespace frame_protocol

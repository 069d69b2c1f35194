#include "text_protocol.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "board.h"
#include "boxes.h"
#include "engine.h"
#include "inference.h"
#include "lines.h"
#include "model/model_data.h"
#include "post_mortem.h"
#include "self_test.h"
#include "serial.h"
#include "ticks.h"

#ifndef MODEL_ID
#define MODEL_ID kModelId
#endif
#ifndef ENERGY
#define ENERGY 0
#endif

namespace text_protocol {
namespace {

constexpr char kTerminator = '%';
constexpr char kStop = 3;  // Ctrl-C of a terminal
constexpr uint32_t kCommandBytes = 80;
constexpr char kVersion[] = "ULPMark for tinyML Firmware V0.0.1";

char command[kCommandBytes + 1];
uint32_t command_length = 0;

uint32_t expected_bytes = 0, loaded_bytes = 0;  // of `db load`
const char* clock_trouble = nullptr;
int status = 1;  // of the emulator: 0 after a good self test

void Timestamp() {
  if (ENERGY) {
    board_timestamp_edge();
  } else {
    Line("m-lap-us-", Number{static_cast<uint32_t>(microseconds_now())});
  }
}

// Returns the next word of the command, ended in place, or nullptr. As strtok does, without its static state's code.
char* NextWord(char** rest) {
  char* word = *rest + std::strspn(*rest, " ");
  if (*word == '\0') return nullptr;
  char* end = word + std::strcspn(word, " ");
  *rest = *end == '\0' ? end : end + 1;
  *end = '\0';
  return word;
}

// A loop, since newlib's strcmp, made for speed, takes 0.7 KB of flash.
bool Is(const char* word, const char* other) {
  for (; *word != '\0' && *word == *other; ++word) ++other;
  return *word == *other;
}

// Returns the number at the beginning of `text` as atoi does, 0 for none; libc's takes ten times the flash.
int32_t ParseNumber(const char* text) {
  const bool negative = *text == '-';
  int64_t number = 0;
  for (text += negative; *text >= '0' && *text <= '9'; ++text) number = std::min<int64_t>(number * 10 + *text - '0', INT32_MAX);
  return static_cast<int32_t>(negative ? -number : number);
}

// Prints a number from 0 to 1 as "%0.3f" does: halves go to the even digit.
void PrintThousandths(float value) {
  const auto thousandths = static_cast<uint32_t>(std::lrint(value * 1000));
  char digits[kUnsignedDigits];
  const char* fraction = unsigned_text(1000 + thousandths % 1000, digits);  // 1ddd keeps the leading zeros
  Print(Number{thousandths / 1000});
  print(".");
  print(fraction + 1);
}

// `results` are those of the first output: the protocol knows no more.
constexpr const ModelOutput& kResults = kOutputs[0];

float Real(int8_t value) { return kResults.scale * static_cast<float>(value - kResults.zero_point); }

// The runner divides by their sum, so logits have to become probabilities.
void Results() {
  const int8_t* output = inference::Output(0);
  int8_t largest = output[0];
  for (uint32_t i = 1; i < kResults.bytes; ++i) largest = output[i] > largest ? output[i] : largest;
  float sum = 0;
  for (uint32_t i = 0; i < kResults.bytes; ++i) sum += std::exp(Real(output[i]) - Real(largest));
  print("m-results-[");
  for (uint32_t i = 0; i < kResults.bytes; ++i) {
    if (i > 0) print(",");
    PrintThousandths(kOutputIsProbability ? Real(output[i]) : std::exp(Real(output[i]) - Real(largest)) / sum);
  }
  Line("]");
}

// A corner in pixels: 1/16 px are four decimals exactly.
void PrintPixels(int16_t sixteenths) {
  const auto value = static_cast<uint32_t>(sixteenths);  // never negative: it is clipped to the input
  char digits[kUnsignedDigits];
  Print(Number{value / 16});
  print(".");
  print(unsigned_text(10000 + value % 16 * 625, digits) + 1);  // 1dddd keeps the leading zeros
}

bool ModelIsReady() {
  if (!inference::IsReady()) Line("e-[The model did not start: ", inference::Error(), "]");
  return inference::IsReady();
}

bool OutputsAreThere() {
  if (!ModelIsReady()) return false;
  if (inference::RunCount() == 0) Line("e-[No inference has run: infer first]");
  return inference::RunCount() > 0;
}

void Boxes() {
  if (!OutputsAreThere()) return;
  boxes::Decode();
  for (uint32_t i = 0; i < boxes::Count(); ++i) {
    const Box& box = boxes::List()[i];
    print("m-box-[");
    PrintThousandths(static_cast<float>(box.score) / 32768);
    for (const int16_t corner : {box.x0, box.y0, box.x1, box.y1}) {
      print(",");
      PrintPixels(corner);
    }
    Line(",", Number{box.label}, ",", box.label < kLabelCount ? kLabels[box.label] : "", "]");
  }
  Line("m-boxes-", Number{boxes::Count()});
}

bool InputIsThere() {
  if (!ModelIsReady()) return false;
  if (loaded_bytes != kInputBytes) {
    Line("e-[The input has ", Number{loaded_bytes}, " bytes, expected ", Number{kInputBytes}, ": db load it]");
  } else if (inference::ImageIsUsedUp()) {
    Line("e-[The input was used up by the inference before: db load it again]");
  } else {
    return true;
  }
  return false;
}

// Runs `count` inferences unless the host stops them; says so where it does, or where the engine fails.
bool RunAll(uint32_t count, const char* what) {
  inference::Runs runs;
  if (!inference::Run(count, &runs, StopWaits)) {
    Line("e-[", engine_error(), "]");
  } else if (runs.count < count) {
    Line("e-[Stopped after ", Number{runs.count}, " of ", Number{count}, what, "]");
  } else {
    return true;
  }
  return false;
}

// Of an input that is not kept, the first step has run while it came: no inference of it can be timed as a whole, so those
// that are timed are of the golden input.
void InferNow(uint32_t count, uint32_t warmups) {
  if (!inference::KeepsImage() && !RunAll(1, " inferences")) return;
  Line("m-warmup-start-", Number{warmups});
  if (!RunAll(warmups, " warmups")) return;
  Line("m-warmup-done");
  Line("m-infer-start-", Number{count});
  Timestamp();
  const bool ran = RunAll(count, " inferences");
  Timestamp();
  Line("m-infer-done");
  if (ran) Results();
}

void Infer(char* rest) {
  int32_t count = 1, warmups = 10;
  if (const char* word = NextWord(&rest)) {
    count = ParseNumber(word);
    if (count <= 0) return Line("e-[Inference iterations must be >0]");
    if (const char* second = NextWord(&rest)) warmups = ParseNumber(second);
    if (warmups < 0) return Line("e-[Inference warmup must be >=0]");
  }
  if (InputIsThere()) InferNow(static_cast<uint32_t>(count), static_cast<uint32_t>(warmups));
}

void DbLoad(char* rest) {
  const char* word = NextWord(&rest);
  if (word == nullptr) return Line("e-[Command 'db load' requires the # of bytes]");
  const int32_t bytes = ParseNumber(word);
  if (bytes <= 0) return Line("e-[Command 'db load' must be >0 bytes]");
  loaded_bytes = 0;
  expected_bytes = 0;
  if (bytes > static_cast<int32_t>(kInputBytes)) {
    return Line("Supplied buffer size ", Number{static_cast<uint32_t>(bytes)}, " exceeds maximum of ",
                Number{kInputBytes});
  }
  expected_bytes = static_cast<uint32_t>(bytes);
  Line("m-[Expecting ", Number{expected_bytes}, " bytes]");
}

// The index in the input of the loaded byte `index`: pixels come as R, G, B, and some models take B, G, R.
uint32_t InputIndex(uint32_t index) { return kPixelsAreBgr ? index + 2 - 2 * (index % 3) : index; }

const int8_t* PixelTable(uint32_t input_index) { return kPixelToInput + 256 * (input_index % kPixelTables); }

// The input is kept as the model takes it; the first pixel that becomes this value is the one that was loaded, unless
// the model sees no difference between neighbors.
uint8_t PixelOf(const int8_t* table, int8_t value) {
  uint8_t pixel = 0;
  while (pixel < 255 && table[pixel] != value) ++pixel;
  return pixel;
}

void PrintByte(uint8_t byte) {
  board_write("0123456789abcdef"[byte >> 4]);
  board_write("0123456789abcdef"[byte & 15]);
}

// Values that are handed over together: those of a pixel whose order is turned.
constexpr uint32_t kTogether = kPixelsAreBgr ? 3 : 1;

void DbPrint() {
  const int8_t* image = inference::Image();
  if (image == nullptr) return Line("e-[The input is not kept: this board has no room for it]");
  for (uint32_t i = 0; i < loaded_bytes - loaded_bytes % kTogether; ++i) {
    if (i > 0 && i % 8 == 0 && StopWaits()) {
      return Line("e-[Stopped after ", Number{i}, " of ", Number{loaded_bytes}, " bytes]");
    }
    if (i % 8 == 0) print("m-buffer-");
    PrintByte(PixelOf(PixelTable(InputIndex(i)), image[InputIndex(i)]));
    print(i % 8 == 7 || i + 1 == loaded_bytes ? "\n" : "-");
  }
}

// Returns the value of a hexadecimal digit, or -1.
int Nibble(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  const char lower = static_cast<char>(digit | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// What comes after the last expected byte is disregarded.
void DbBytes(const char* digits) {
  static int8_t values[kTogether];
  if (std::strlen(digits) % 2 != 0) return Line("e-[Insufficent number of hex digits]");
  for (; *digits != '\0' && loaded_bytes < expected_bytes; digits += 2) {
    const int high = Nibble(digits[0]), low = Nibble(digits[1]);
    if (high < 0 || low < 0) {
      const char pair[] = {digits[0], digits[1], '\0'};
      return Line("e-[Invalid hex digit '", pair, "']");
    }
    const uint32_t input_index = InputIndex(loaded_bytes++);
    values[input_index % kTogether] = PixelTable(input_index)[high << 4 | low];
    if (loaded_bytes % kTogether == 0) inference::Put(loaded_bytes - kTogether, values, kTogether);
    if (loaded_bytes == expected_bytes) Line("m-load-done");
  }
}

void Db(char* rest) {
  const char* word = NextWord(&rest);
  if (word == nullptr) return Line("e-[Command 'db' requires a subcommand]");
  if (!ModelIsReady()) return;
  if (Is(word, "load")) return DbLoad(rest);
  if (Is(word, "print")) return DbPrint();
  DbBytes(word);
}

void Help() {
  Line(kVersion);
  Line("");
  Line("help         : Print this information");
  Line("name         : Print the name of the device");
  Line("timestsamp   : Generate a timetsamp");
  Line("db SUBCMD    : Manipulate a generic byte buffer");
  Line("  load N     : Allocate N bytes and set load counter");
  Line("  db HH[HH]* : Load 8-bit hex byte(s) until N bytes");
  Line("  print [N=16] [offset=0]");
  Line("             : Print N bytes at offset as hex");
  Line("infer N [W=0]: Load input, execute N inferences after W warmup loops");
  Line("results      : Return the result fp32 vector");
  if (boxes::kRoom > 0) Line("boxes        : Return the boxes of the last inference");
  Line("selftest     : Compare with the golden output and time inferences");
  if (BOARD_EMULATOR[0] != '\0') Line("exit         : End the emulator, status 0 after a good self test");
}

void SelfTestNow() {
  status = SelfTest(clock_trouble) ? 0 : 1;
  loaded_bytes = 0;  // where the input is not kept, the golden one has taken its place
}

void Execute(char* rest) {
  const char* word = NextWord(&rest);
  if (word == nullptr) return Line("e-[Unknown command: ]");
  if (Is(word, "name")) return Line("m-name-dut-[tinytrain]");
  if (Is(word, "timestamp")) return Timestamp();
  if (Is(word, "profile")) {
    Line("m-profile-[", kVersion, "]");
    return Line("m-model-[", MODEL_ID, "]");
  }
  if (Is(word, "help")) return Help();
  if (Is(word, "db")) return Db(rest);
  if (Is(word, "infer")) return Infer(rest);
  if (Is(word, "results")) {
    if (OutputsAreThere()) Results();
    return;
  }
  if constexpr (boxes::kRoom > 0) {
    if (Is(word, "boxes")) return Boxes();
  }
  if (Is(word, "selftest")) return SelfTestNow();
  if (BOARD_EMULATOR[0] != '\0' && Is(word, "exit")) board_exit(status);
  Line("e-[Unknown command: ", word, "]");
}

void Ready() { Line("m-ready"); }

void Trouble(const char* what, const char* text) {
  if (text != nullptr && text[0] != '\0') Line("e-[", what, text, "]");
}

}  // namespace

void Boot(const char* clock_error) {
  clock_trouble = clock_error;
  Line(ENERGY ? "m-timestamp-mode-energy" : "m-timestamp-mode-performance");
  Timestamp();
  Trouble("", post_mortem_text());
  Trouble("clock: ", clock_error);
  Trouble("init: ", inference::Error());
  Line("m-init-done");
  Ready();
}

bool StopWaits() { return serial_holds(kStop) || serial_holds(0); }

void Receive(char byte) {
  if (byte == kStop) return Forget();
  if (byte != kTerminator) {
    if (command_length < kCommandBytes) command[command_length++] = byte;  // the reference cuts a longer one as well
    return;
  }
  command[command_length] = '\0';
  command_length = 0;
  Execute(command);
  Ready();
}

void Forget() { command_length = 0; }

}  // namespace text_protocol

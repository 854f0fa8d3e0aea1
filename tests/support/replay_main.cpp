// replay_main: stands in for libFuzzer in ordinary builds. Gives every file it is named, or finds in
// a folder it is named, to the fuzz target: whole, and cut to a half. Searches for nothing.
// Run: <name>_fuzz FILE_OR_FOLDER...   Fails when there is nothing to replay.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> files_below(const std::filesystem::path& start) {
  std::vector<std::filesystem::path> found;
  if (std::filesystem::is_regular_file(start)) {
    found.push_back(start);
  } else if (std::filesystem::is_directory(start)) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(start))
      if (entry.is_regular_file())
        found.push_back(entry.path());
    std::sort(found.begin(), found.end());
  }
  return found;
}

void replay(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  // A vector of its own for each length, so that a sanitizer sees a read behind the end.
  for (const std::size_t size : {bytes.size(), bytes.size() / 2}) {
    const std::vector<std::uint8_t> input(bytes.begin(),
                                          bytes.begin() + static_cast<std::ptrdiff_t>(size));
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
}

} // namespace

int main(int count, char** arguments) {
  std::size_t replayed = 0;
  for (int index = 1; index < count; ++index) {
    for (const auto& file : files_below(arguments[index])) {
      std::printf("%s\n", file.c_str());
      std::fflush(stdout); // the last line names the culprit if the target ends the program
      replay(file);
      ++replayed;
    }
  }
  std::printf("%zu inputs replayed\n", replayed);
  return replayed == 0 ? 1 : 0;
}

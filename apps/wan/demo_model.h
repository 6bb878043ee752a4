#pragma once
#include <filesystem>

namespace wan::app {

/// The folder of the small text-to-video checkpoint that comes with the program: as installed (../share/wan/models
/// beside the program's folder), else in the source tree that built it. Empty if there is none.
std::filesystem::path find_demo_model();

}  // namespace wan::app

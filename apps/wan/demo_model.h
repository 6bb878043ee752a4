#pragma once
#include <filesystem>
#include <string>

namespace wan::app {

/// The folder of a small checkpoint that comes with the program, "demo-t2v" or "demo-ti2v": as installed
/// (../share/wan/models beside the program's folder), else in the source tree that built it. Empty if there is none.
std::filesystem::path find_demo_model(const std::string& name);

}  // namespace wan::app

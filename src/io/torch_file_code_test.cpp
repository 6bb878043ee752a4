// A .pth with code in it: nothing runs, whichever way a pickle has of calling things.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <tuple>

#include "io/torch_file.h"
#include "support/bytes.h"
#include "support/pickle_builder.h"
#include "support/sandbox.h"
#include "support/temp_dir.h"
#include "support/zip_builder.h"

namespace wan::io {
namespace {

using test::pickle_begin;
using test::pickle_global;
using test::pickle_text;

struct Hostile {
  const char* way;
  std::string body;  // between the protocol and the stop; TOUCH stands for the command as a pickled string
  const char* says;
};

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.says; }

const std::string os_system = pickle_global("os", "system");
const std::string rebuild = pickle_global("torch._utils", "_rebuild_tensor_v2");
const std::string ordered_dict = pickle_global("collections", "OrderedDict");

const std::vector<Hostile> hostiles = {
    {"GlobalReduce", os_system + "TOUCH\x85R", "'os system'"},
    {"Posix", pickle_global("posix", "system") + "TOUCH\x85R", "'posix system'"},
    {"Popen", pickle_global("subprocess", "Popen") + "(" + pickle_text("/bin/sh") + pickle_text("-c") + "TOUCHt\x85R",
     "'subprocess Popen'"},
    {"Eval", pickle_global("builtins", "eval") + "TOUCH\x85R", "'builtins eval'"},
    {"StackGlobal", pickle_text("os") + pickle_text("system") + "\x93TOUCH\x85R", "'os system'"},
    {"Inst", "(TOUCHios\nsystem\n", "'os system'"},
    {"Obj", "(" + os_system + "TOUCHo", "'os system'"},
    {"NewObj", os_system + "TOUCH\x85\x81", "'os system'"},
    {"NewObjEx", os_system + "TOUCH\x85}\x92", "'os system'"},
    {"Build", ordered_dict + ")R}" + pickle_text("__setstate__") + os_system + "sbTOUCHb", "'os system'"},
    {"Extension", "\x82\x01TOUCH\x85R", "opcode 0x82"},
    {"PersistentId", os_system + "TOUCH\x85RQ", "'os system'"},
    {"InATensor", std::string("}") + pickle_text("w") + rebuild + "(" + os_system + "TOUCH\x85RK\x01K\x01K\x01tRs",
     "'os system'"},
    {"InADict", ordered_dict + "](" + pickle_text("w") + os_system + "TOUCH\x85R\x86" + "e\x85R", "'os system'"},
    // Only names that are allowed, in ways that torch.save does not use.
    {"AllowedObj", "(" + rebuild + "TOUCHo", "opcode 0x6f"},
    {"AllowedNewObj", ordered_dict + "TOUCH\x85\x81", "opcode 0x81"},
    {"CallOfACall", rebuild + "TOUCH\x85R)R", "calls a call"},
    {"TextAsName", pickle_text("os.system") + "TOUCH\x85R", "calls a string"},
};

class HostileFile : public testing::TestWithParam<Hostile> {};

TEST_P(HostileFile, RunsNothing) {
  const test::TempDir dir;
  const auto touched = dir / "touched", file = dir / "model.pth";
  std::string body = GetParam().body;
  body.replace(body.find("TOUCH"), 5, pickle_text("touch " + touched.string()));
  test::write_file(file, test::ZipBuilder()
                             .add(test::ZipMember("m/data.pkl", pickle_begin + body + "."))
                             .add(test::ZipMember("m/data/0", std::string(24, '\0')))
                             .build());
  const test::Ending ending = test::run_alone([&] { open_torch_file(file); });
  EXPECT_NE(ending.signal, SIGSYS) << "something was started";
  EXPECT_EQ(ending.status, 1) << "the file was accepted";
  EXPECT_NE(ending.error.find(GetParam().says), std::string::npos) << ending.error;
  EXPECT_NE(ending.error.find(file.string()), std::string::npos) << ending.error;
  EXPECT_FALSE(std::filesystem::exists(touched));
}

INSTANTIATE_TEST_SUITE_P(Ways, HostileFile, testing::ValuesIn(hostiles), [](const auto& one) { return one.param.way; });

// That the test above can fail.
TEST(Sandbox, SeesWhatIsStarted) {
  const test::Ending quiet = test::run_alone([] {});
  if (!quiet.guarded) GTEST_SKIP() << "this kernel has no filter for system calls";
  EXPECT_EQ(quiet.signal, 0);
  EXPECT_EQ(quiet.status, 0);
  EXPECT_EQ(test::run_alone([] { std::ignore = std::system("true"); }).signal, SIGSYS);
  EXPECT_EQ(test::run_alone([] { ::fork(); }).signal, SIGSYS);
  EXPECT_EQ(test::run_alone([] { ::execl("/bin/true", "true", nullptr); }).signal, SIGSYS);
}

}  // namespace
}  // namespace wan::io

#include "hub/partial.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "hub/owner.h"
#include "support/expect_error.h"
#include "support/hub_server.h"
#include "support/temp_dir.h"

namespace wan::hub {
namespace {

namespace fs = std::filesystem;

class PartialFile : public testing::Test {
 protected:
  PartialFile() {
    Hasher hasher(Digest::Kind::sha256, 0);
    hasher.add(std::as_bytes(std::span(content)));
    file.digest = {Digest::Kind::sha256, hasher.hex()};
  }

  std::unique_ptr<Partial> claim() {
    auto partial = Partial::claim(dir.path(), "stem", file, [this] { return ++busy >= 3; });
    if (partial) partial->begin();
    return partial;
  }
  void write(Partial& partial, size_t first, size_t end) const {
    partial.write(static_cast<int64_t>(first), std::as_bytes(std::span(content)).subspan(first, end - first));
  }
  // Runs in a process that ends as kill -9 ends it.
  template <class Action>
  void in_killed_process(Action action) {
    const pid_t child = fork();
    if (child == 0) {
      action();
      raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(dir.path())) all.push_back(entry.path().filename().string());
    return all;
  }
  fs::path record() const {
    for (const std::string& name : names())
      if (name.ends_with(".json")) return dir / name;
    return {};
  }

  const test::TempDir dir;
  const std::string content = test::noise(5000, 1);
  RemoteFile file{.path = "x", .size = 5000};
  int busy = 0;
};

TEST_F(PartialFile, GoesOnWhereItWasSavedAndNotBeyond) {
  in_killed_process([this] {
    const auto partial = claim().release();  // never destroyed
    write(*partial, 0, 1000);
    write(*partial, 3000, 4000);
    partial->save();
    write(*partial, 1000, 2000);  // not saved
  });
  const auto partial = claim();
  EXPECT_EQ(partial->done(), 2000);
  EXPECT_EQ(partial->missing(), (std::vector<ByteRange>{{1000, 3000}, {4000, 5000}}));
  EXPECT_EQ(busy, 0);
  write(*partial, 1000, 3000);
  write(*partial, 4000, 5000);
  EXPECT_EQ(partial->hash({}), file.digest.hex);
  partial->move_to(dir / "final");
  std::ifstream in(dir / "final");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), content);
  EXPECT_EQ(names(), std::vector<std::string>{"final"});
}

TEST_F(PartialFile, ALivingProcessKeepsIt) {
  const auto mine = claim();
  write(*mine, 0, 100);
  EXPECT_EQ(claim(), nullptr);
  EXPECT_EQ(busy, 3);
}

TEST_F(PartialFile, GivenBackItIsFree) {
  {
    const auto mine = claim();
    write(*mine, 0, 100);
    mine->save();
  }
  EXPECT_EQ(claim()->done(), 100);
  EXPECT_EQ(busy, 0);
}

TEST_F(PartialFile, OfAnotherMachineItIsTakenOverOnlyAfterASilence) {
  {
    const auto mine = claim();
    write(*mine, 0, 100);
    mine->save();
  }
  std::string name = record().filename().string();
  name.replace(name.find("idle"), 4, "0123456789abcdef-1-1");
  fs::rename(record(), dir / name);
  EXPECT_EQ(claim(), nullptr);
  EXPECT_EQ(busy, 3);
  fs::last_write_time(dir / name, fs::file_time_type::clock::now() - std::chrono::minutes(10));
  EXPECT_EQ(claim()->done(), 100);
}

TEST_F(PartialFile, RecordsThatLieAreNotBelieved) {
  const std::string lies[] = {
      "",
      "{",
      "[]",
      R"({"format": 1, "size": 5000})",
      R"({"format": 1, "size": 4999, "hash": ")" + file.digest.hex + R"(", "done": [[0, 10]]})",
      R"({"format": 1, "size": 5000, "hash": ")" + std::string(64, '0') + R"(", "done": [[0, 10]]})",
      R"({"format": 1, "size": 5000, "hash": ")" + file.digest.hex + R"(", "done": [[0, 5001]]})",
      R"({"format": 1, "size": 5000, "hash": ")" + file.digest.hex + R"(", "done": [[-5, 10]]})",
      R"({"format": 1, "size": 5000, "hash": ")" + file.digest.hex + R"(", "done": [["a", 10]]})",
      R"({"format": 2, "size": 5000, "hash": ")" + file.digest.hex + R"(", "done": [[0, 10]]})"};
  for (const std::string& lie : lies) {
    {
      const auto partial = claim();
      write(*partial, 0, 100);
      partial->save();
    }
    std::ofstream(record()) << lie;
    const auto partial = claim();
    EXPECT_EQ(partial->done(), 0) << lie;
    EXPECT_EQ(names().size(), 2u) << lie;
    partial->discard();
  }
}

TEST_F(PartialFile, DataThatIsMissingCutOrALinkBeginsAnew) {
  const auto spoil = [this](auto action) {
    {
      const auto partial = claim();
      write(*partial, 0, 100);
      partial->save();
    }
    fs::path data = record();
    data = data.parent_path() / (data.filename().string().substr(0, 13) + ".incomplete");
    ASSERT_TRUE(fs::exists(data)) << data;
    action(data);
    const auto partial = claim();
    EXPECT_EQ(partial->done(), 0);
    partial->discard();
  };
  spoil([](const fs::path& data) { fs::remove(data); });
  spoil([](const fs::path& data) { fs::resize_file(data, 4999); });
  std::ofstream(dir / "victim") << std::string(5000, 'v');
  spoil([this](const fs::path& data) {
    fs::remove(data);
    fs::create_symlink(dir / "victim", data);
  });
  std::ifstream in(dir / "victim");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), std::string(5000, 'v'));
}

TEST_F(PartialFile, NothingIsWrittenBeyondTheSize) {
  const auto partial = claim();
  test::expect_error(
      ErrorCode::comm, [&] { partial->write(4999, std::as_bytes(std::span(content)).first(2)); }, "more bytes came");
}

TEST_F(PartialFile, SweepRemovesWhatTheDeadLeft) {
  in_killed_process([this] {
    const auto partial = claim().release();
    write(*partial, 0, 1000);
    partial->save();
  });
  EXPECT_EQ(names().size(), 2u);
  Partial::sweep(dir.path(), "stem");
  EXPECT_TRUE(names().empty());
}

TEST(Owner, KnowsTheLivingFromTheDead) {
  EXPECT_EQ(state_of(own_name()), OwnerState::this_process);
  EXPECT_EQ(state_of("0123456789abcdef-1-1"), OwnerState::elsewhere);
  const std::string machine = own_name().substr(0, 17);
  EXPECT_EQ(state_of(machine + "1-1"), OwnerState::gone) << "another process had this id then";
  EXPECT_EQ(state_of(machine + "999999999-1"), OwnerState::gone);
  EXPECT_EQ(state_of(machine + "../../x-1"), OwnerState::gone);
}

}  // namespace
}  // namespace wan::hub

#include "comm/ranks.h"

#include <gmock/gmock.h>

#include "support/expect_error.h"

namespace wan::comm {
namespace {

using test::expect_error;
using testing::HasSubstr;

Ranks find(const Environment& environment, const RankFlags& flags = {}) { return find_ranks(flags, environment); }

template <class... Texts>
void refused(const Environment& environment, Texts... texts) {
  expect_error(
      ErrorCode::invalid_argument, [&] { find(environment); }, texts...);
}

TEST(Ranks, AloneWhereNothingIsSaid) {
  const Ranks r = find({{"HOME", "/root"}});
  EXPECT_EQ(r.rank, 0);
  EXPECT_EQ(r.size, 1);
  EXPECT_EQ(r.source, "none");
  EXPECT_EQ(r.note, "");
}

TEST(Ranks, Torchrun) {
  const Ranks r = find({{"RANK", "5"},
                        {"WORLD_SIZE", "8"},
                        {"LOCAL_RANK", "1"},
                        {"LOCAL_WORLD_SIZE", "4"},
                        {"MASTER_ADDR", "node1"},
                        {"MASTER_PORT", "1234"}});
  EXPECT_EQ(r.rank, 5);
  EXPECT_EQ(r.size, 8);
  EXPECT_EQ(r.local_rank, 1);
  EXPECT_EQ(r.local_size, 4);
  EXPECT_EQ(r.node, 1);
  EXPECT_EQ(r.address, "node1");
  EXPECT_EQ(r.port, 1234);
  EXPECT_THAT(r.source, HasSubstr("torchrun (RANK=5"));
}

TEST(Ranks, TorchrunsAgentKeepsItsPort) {
  const Ranks r = find({{"RANK", "0"},
                        {"WORLD_SIZE", "2"},
                        {"MASTER_ADDR", "a"},
                        {"MASTER_PORT", "29500"},
                        {"TORCHELASTIC_USE_AGENT_STORE", "True"}});
  EXPECT_EQ(r.port, 29501);
}

TEST(Ranks, OpenMpiOnOneMachineNeedsNoAddress) {
  const Ranks r = find({{"OMPI_COMM_WORLD_RANK", "1"},
                        {"OMPI_COMM_WORLD_SIZE", "2"},
                        {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                        {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                        {"PMIX_RANK", "1"},
                        {"PMIX_NAMESPACE", "77"},
                        {"PMIX_SERVER_URI2", "7.0;tcp4://127.0.0.1:4"}});
  EXPECT_EQ(r.rank, 1);
  EXPECT_EQ(r.local_rank, 1);
  EXPECT_EQ(r.address, "");
  EXPECT_EQ(r.job, "mpirun (Open MPI) 77 7.0;tcp4://127.0.0.1:4");
}

TEST(Ranks, OpenMpiOnTwoMachinesNeedsOne) {
  Environment e = {{"OMPI_COMM_WORLD_RANK", "3"},
                   {"OMPI_COMM_WORLD_SIZE", "4"},
                   {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                   {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                   {"PMIX_NAMESPACE", "77"}};
  refused(e, "MASTER_ADDR", "rank 3 of 4");
  e["MASTER_ADDR"] = "10.0.0.1";
  const Ranks r = find(e);
  EXPECT_EQ(r.address, "10.0.0.1");
  EXPECT_EQ(r.port, default_port);
  EXPECT_EQ(r.node, 1);
}

TEST(Ranks, SlurmMeetsOnTheFirstMachine) {
  const Ranks r = find({{"SLURM_PROCID", "9"},
                        {"SLURM_NTASKS", "16"},
                        {"SLURM_LOCALID", "1"},
                        {"SLURM_NODEID", "1"},
                        {"SLURM_JOB_ID", "41234"},
                        {"SLURM_JOB_NUM_NODES", "2"},
                        {"SLURM_JOB_NODELIST", "gpu[003-004]"}});
  EXPECT_EQ(r.rank, 9);
  EXPECT_EQ(r.size, 16);
  EXPECT_EQ(r.local_rank, 1);
  EXPECT_EQ(r.node, 1);
  EXPECT_EQ(r.address, "gpu003");
  EXPECT_EQ(r.port, 21234);
}

TEST(Ranks, SlurmOnOneMachineMeetsByTheJobsName) {
  const Ranks r = find({{"SLURM_PROCID", "1"},
                        {"SLURM_NTASKS", "2"},
                        {"SLURM_LOCALID", "1"},
                        {"SLURM_JOB_ID", "7"},
                        {"SLURM_STEP_ID", "3"},
                        {"SLURM_NNODES", "1"}});
  EXPECT_EQ(r.job, "srun (Slurm) 7.3");
  EXPECT_TRUE(r.one_machine());
  EXPECT_EQ(r.address, "");
}

TEST(Ranks, ABatchScriptIsNoRank) {
  const Ranks r = find({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "7"}, {"ENVIRONMENT", "BATCH"}});
  EXPECT_EQ(r.size, 1);
  EXPECT_THAT(r.note, HasSubstr("srun"));
}

TEST(Ranks, Mpich) {
  const Ranks r = find(
      {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "2"}, {"MASTER_ADDR", "a"}});
  EXPECT_EQ(r.rank, 1);
  EXPECT_THAT(r.source, HasSubstr("MPICH"));
}

TEST(Ranks, PmixAloneNeedsTheNumberOfRanks) {
  refused({{"PMIX_RANK", "1"}}, "PMIX_RANK=1", "WORLD_SIZE");
  EXPECT_EQ(find({{"PMIX_RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}).rank, 1);
}

TEST(Ranks, AWorldSizeWithoutARankIsNotFollowed) {
  const Ranks r = find({{"WORLD_SIZE", "16"},
                        {"NODE_RANK", "1"},
                        {"NUM_NODES", "2"},
                        {"NUM_TRAINERS", "8"},
                        {"PRIMARY_ADDR", "10.0.0.1"},
                        {"MASTER_ADDR", "10.0.0.1"}});
  EXPECT_EQ(r.rank, 0);
  EXPECT_EQ(r.size, 1);
  EXPECT_THAT(r.note, HasSubstr("WORLD_SIZE=16 but no RANK"));
}

TEST(Ranks, FlagsComeFirst) {
  const Ranks r = find({{"MASTER_ADDR", "a"}, {"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}},
                       {.rank = 1, .world_size = 2, .master_addr = "b", .master_port = 99});
  EXPECT_EQ(r.rank, 1);
  EXPECT_EQ(r.address, "b");
  EXPECT_EQ(r.port, 99);
  EXPECT_EQ(r.source, "flags (--rank 1 --world_size 2)");
}

TEST(Ranks, HalfOfTheFlagsIsRefused) {
  expect_error(
      ErrorCode::invalid_argument, [] { find({}, {.rank = 1}); }, "--world_size");
  expect_error(
      ErrorCode::invalid_argument, [] { find({}, {.local_rank = 1}); }, "--rank");
}

TEST(Ranks, OurOwnSupervisorIsBelievedBeforeAll) {
  const Ranks r = find({{"WAN_RANK", "1"},
                        {"WAN_WORLD_SIZE", "2"},
                        {"WAN_JOB", "abc"},
                        {"RANK", "0"},
                        {"WORLD_SIZE", "1"},
                        {"MASTER_ADDR", "elsewhere"}});
  EXPECT_EQ(r.rank, 1);
  EXPECT_EQ(r.local_rank, 1);
  EXPECT_EQ(r.local_size, 2);
  EXPECT_EQ(r.job, "abc");
  EXPECT_EQ(r.address, "");
}

TEST(Ranks, ContradictionsAreRefused) {
  const Environment mpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                           {"OMPI_COMM_WORLD_SIZE", "4"},
                           {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                           {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
                           {"MASTER_ADDR", "a"}};
  const auto with = [&](const char* rank, const char* size) {
    Environment e = mpi;
    e["RANK"] = rank;
    e["WORLD_SIZE"] = size;
    return e;
  };
  EXPECT_EQ(find(with("1", "4")).rank, 1);
  refused(with("2", "4"), "RANK=2, WORLD_SIZE=4", "OMPI_COMM_WORLD_RANK=1", "contradict");
  refused(with("0", "1"), "WORLD_SIZE=1", "OMPI_COMM_WORLD_SIZE=4", "contradict");
  refused(with("1", "6"), "contradict");
  EXPECT_EQ(find(with("9", "32")).rank, 9);  // mpirun starts torchrun on each of 4 machines
}

TEST(Ranks, WhatIsNoRankIsRefused) {
  refused({{"RANK", "2"}, {"WORLD_SIZE", "2"}}, "RANK=2, WORLD_SIZE=2", "rank 2 of 2");
  refused({{"RANK", "one"}, {"WORLD_SIZE", "2"}}, "RANK=one");
  refused({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}, "RANK=-1");
  refused({{"RANK", "1"}}, "WORLD_SIZE", "Unset RANK");
  refused({{"RANK", "0"}, {"WORLD_SIZE", "99999"}}, "4096");
  refused({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "2"}, {"LOCAL_WORLD_SIZE", "2"}}, "local rank 2 of 2");
  refused({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}}, "70000");
}

TEST(Ranks, FirstHostOfSlurmsLists) {
  EXPECT_EQ(first_host("a"), "a");
  EXPECT_EQ(first_host("a,b"), "a");
  EXPECT_EQ(first_host("gpu[003-005,9],login1"), "gpu003");
  EXPECT_EQ(first_host("login1,gpu[003-005]"), "login1");
  EXPECT_EQ(first_host("gpu[7]"), "gpu7");
  EXPECT_EQ(first_host("n[1-2].cluster,m"), "n1.cluster");
  EXPECT_EQ(first_host("gpu[7"), "");
  EXPECT_EQ(first_host(""), "");
}

}  // namespace
}  // namespace wan::comm

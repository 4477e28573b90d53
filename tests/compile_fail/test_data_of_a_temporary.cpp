// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to|uses) deleted
// The options refer to the data that are tested in the end.
#include <dla/experiment.hpp>
dla::DatasetPair data();
dla::FitOptions options = dla::fit_options(dla::ExperimentConfig(), data());

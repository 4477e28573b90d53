// SPDX-License-Identifier: MIT
// EXPECT: (use of|call to) deleted .*layer_tree
// The nodes would refer to rows that are gone.
#include <dla/inspect/layer_tree.hpp>
dla::ParamIndex rows();
auto tree = dla::layer_tree(rows());

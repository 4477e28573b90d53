// SPDX-License-Identifier: MIT
// Everything about data sets: reading, generating, splitting, standardising, augmenting and loading them batch by batch.
#pragma once

#include <dla/data/any_data.hpp>
#include <dla/data/augment.hpp>
#include <dla/data/classes.hpp>
#include <dla/data/csv.hpp>
#include <dla/data/dataset.hpp>
#include <dla/data/digits.hpp>
#include <dla/data/fingerprint.hpp>
#include <dla/data/load.hpp>
#include <dla/data/loader.hpp>
#include <dla/data/metadata.hpp>
#include <dla/data/npy.hpp>
#include <dla/data/resize.hpp>
#include <dla/data/statistics.hpp>

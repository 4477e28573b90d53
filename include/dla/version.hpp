// SPDX-License-Identifier: MIT
// The version of the library, as numbers and as text.
#pragma once

#define DLA_VERSION_MAJOR 0
#define DLA_VERSION_MINOR 1
#define DLA_VERSION_PATCH 0
#define DLA_VERSION (DLA_VERSION_MAJOR * 10000 + DLA_VERSION_MINOR * 100 + DLA_VERSION_PATCH)
#define DLA_VERSION_STRING "0.1.0"

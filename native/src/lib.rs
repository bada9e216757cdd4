//! The native door of nearshore.

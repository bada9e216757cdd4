//! WebAssembly bindings: types in, types out.

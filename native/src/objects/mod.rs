//! Objects of Python, made and read without a call into the interpreter where that is possible. All of our unsafe code
//! but one number's (`policy/masks.rs`) is here.
pub mod made;
pub mod member;

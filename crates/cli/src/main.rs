//! The one binary, `sidetone`.

fn main() {
    println!("sidetone {}", env!("CARGO_PKG_VERSION"));
}

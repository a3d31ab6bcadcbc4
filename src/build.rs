//! Puts the market page inside a release binary, if it was built before. Never builds the page.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

const PAGE: &str = "broker/dashboard/dist";

/// Touched after each build of the page, which this script would not hear of while there is none.
const PAGE_BUILDER: &str = "broker/dashboard/build.sh";

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let page = Path::new(PAGE);
    let is_built = page.join("index.html").is_file();
    println!("cargo:rerun-if-changed=src/build.rs");
    let mut files = Vec::new();
    // A debug binary reads the page from its folder, so that a changed page is no reason to link it again.
    if env::var_os("PROFILE").is_some_and(|profile| profile == "release") {
        println!("cargo:rerun-if-changed={}", if is_built { PAGE } else { PAGE_BUILDER });
        if is_built {
            list(page, &mut files)?;
        }
    }
    let mut code = fs::File::create(out.join("page.rs"))?;
    writeln!(code, "/// The files of the market page by their paths; none if it was not built.")?;
    writeln!(code, "const PAGE: &[(&str, &[u8])] = &[")?;
    for (index, file) in files.iter().enumerate() {
        // Copied, because the page may be built again while the compiler reads it.
        fs::copy(file, out.join(format!("page-{index}")))?;
        let name = file.strip_prefix(page).unwrap_or(file).display().to_string();
        writeln!(code, "    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/page-{index}\"))),")?;
    }
    writeln!(code, "];")
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

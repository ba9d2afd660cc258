//! Engines of the hot path. Rules are written and compiled in Python; at most their table is walked here.
//! Each engine has a twin in Python that it must equal; the twins' tests run on both.
use pyo3::panic::PanicException;
use pyo3::prelude::*;

mod bytes;
mod looks;
mod objects;
mod policy;
mod request;
mod sealing;
mod steps;
mod velocity;

#[pymodule(gil_used = true)]
fn ein_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PanicException", module.py().get_type::<PanicException>())?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<policy::arms::Line>()?;
    module.add_class::<request::reader::Reader>()?;
    module.add_class::<bytes::row_reader::RowReader>()?;
    module.add_class::<steps::admit::Admitter>()?;
    module.add_class::<steps::admit::Issuers>()?;
    module.add_class::<request::read_request::Late>()?;
    module.add_class::<request::features::Features>()?;
    module.add_class::<looks::Looks>()?;
    module.add_class::<looks::findings::Findings>()?;
    module.add_class::<bytes::writer::Writer>()?;
    module.add_function(wrap_pyfunction!(bytes::json::json, module)?)?;
    module.add_function(wrap_pyfunction!(bytes::writer::occurrences, module)?)?;
    module.add_function(wrap_pyfunction!(bytes::writer::nested, module)?)?;
    module.add_class::<velocity::Velocity>()?;
    module.add_class::<velocity::counted::Counted>()?;
    module.add_class::<sealing::mac::Macs>()?;
    module.add_class::<sealing::mac::CardTokens>()?;
    module.add_class::<sealing::seal::ContentKey>()?;
    module.add_class::<sealing::es256::Es256>()?;
    module.add_class::<sealing::template::Template>()?;
    module.add_class::<sealing::share::Shares>()?;
    module.add_class::<sealing::share::ShareTarget>()?;
    module.add_class::<steps::decide::Decider>()?;
    module.add_class::<steps::conclude::Concluder>()?;
    module.add_function(wrap_pyfunction!(sealing::share_keys::match_keys, module)?)?;
    module.add_function(wrap_pyfunction!(sealing::signature::joined, module)?)?;
    module.add_class::<steps::remembered::Recent>()?;
    module.add_function(wrap_pyfunction!(steps::told::told, module)?)?;
    module.add_class::<policy::release::Answers>()?;
    module.add_class::<policy::consents::Registered>()?;
    module.add_class::<policy::covering::Consents>()?;
    module.add_class::<policy::consent_buckets::ConsentBuckets>()?;
    module.add_function(wrap_pyfunction!(bytes::pack::pack_batch, module)?)?;
    Ok(())
}

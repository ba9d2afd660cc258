//! Engines of the hot path. Rules are written and compiled in Python; at most their table is walked here.
//! Each engine has a twin in Python that it must equal; the twins' tests run on both.
use pyo3::panic::PanicException;
use pyo3::prelude::*;

mod admit;
mod arms;
mod columns;
mod conclude;
mod consent_buckets;
mod consent_rows;
mod consents;
mod covering;
mod decide;
mod decimal;
mod doubts;
mod es256;
mod features;
mod json;
mod left;
mod mac;
mod mac_keyed;
mod looks;
mod looks_kept;
mod looks_network;
mod looks_plain;
mod made;
mod masks;
mod pack;
mod read_request;
mod reader;
mod release;
mod remembered;
mod row_reader;
mod seal;
mod seal_base64;
mod shapes;
mod share;
mod share_fields;
mod share_keys;
mod signature;
mod slots;
mod told;
mod velocity;
mod velocity_frozen;
mod velocity_keys;
mod velocity_record;
mod verdicts;
mod wire;
mod writer;

#[pymodule]
fn ein_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PanicException", module.py().get_type::<PanicException>())?;
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<arms::Line>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<row_reader::RowReader>()?;
    module.add_class::<admit::Admitter>()?;
    module.add_class::<admit::Issuers>()?;
    module.add_class::<read_request::Late>()?;
    module.add_class::<features::Features>()?;
    module.add_class::<looks::Looks>()?;
    module.add_class::<writer::Writer>()?;
    module.add_function(wrap_pyfunction!(json::json, module)?)?;
    module.add_function(wrap_pyfunction!(writer::occurrences, module)?)?;
    module.add_function(wrap_pyfunction!(writer::nested, module)?)?;
    module.add_class::<velocity::Velocity>()?;
    module.add_class::<mac::Macs>()?;
    module.add_class::<mac::CardTokens>()?;
    module.add_class::<seal::ContentKey>()?;
    module.add_class::<es256::Es256>()?;
    module.add_class::<share::Shares>()?;
    module.add_class::<share::ShareTarget>()?;
    module.add_class::<decide::Decider>()?;
    module.add_class::<conclude::Concluder>()?;
    module.add_function(wrap_pyfunction!(share_keys::match_keys, module)?)?;
    module.add_function(wrap_pyfunction!(signature::joined, module)?)?;
    module.add_function(wrap_pyfunction!(signature::written, module)?)?;
    module.add_class::<remembered::Recent>()?;
    module.add_function(wrap_pyfunction!(told::told, module)?)?;
    module.add_class::<release::Answers>()?;
    module.add_class::<consents::Registered>()?;
    module.add_class::<covering::Consents>()?;
    module.add_class::<consent_buckets::ConsentBuckets>()?;
    module.add_function(wrap_pyfunction!(pack::pack_batch, module)?)?;
    Ok(())
}

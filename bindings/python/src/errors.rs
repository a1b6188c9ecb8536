// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The exceptions: one class for each error of the core's table, made from the table.

use e4::Error;
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

struct Classes {
    base: Py<PyType>,
    each: Vec<(Error, Py<PyType>)>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

const BASE: &str = "What went wrong in E4. ``number`` is that of the error table, the same in every \
                    language; the text says what happened and holds no secret.";

/// Errors that are about a value given by the caller: they are ``ValueError`` as well.
const VALUES: &[Error] = &[
    Error::InvalidParameter,
    Error::InvalidKey,
    Error::InvalidName,
    Error::InvalidTopic,
    Error::InvalidPassword,
];

fn class<'py>(
    py: Python<'py>,
    name: &str,
    text: &str,
    number: i32,
    bases: Bound<'py, PyTuple>,
) -> PyResult<Py<PyType>> {
    let dict = PyDict::new(py);
    dict.set_item("__module__", "e4")?;
    dict.set_item("__doc__", text)?;
    dict.set_item("number", number)?;
    let made = py.get_type::<PyType>().call1((name, bases, dict))?;
    Ok(made.cast_into::<PyType>()?.unbind())
}

fn make(py: Python<'_>) -> PyResult<Classes> {
    let bases = PyTuple::new(py, [py.get_type::<PyException>()])?;
    let base = class(py, "E4Error", BASE, 0, bases)?;
    let value_error = py.get_type::<PyValueError>();
    let mut each = Vec::new();
    for error in Error::ALL {
        let bases = if VALUES.contains(error) {
            PyTuple::new(py, [base.bind(py), &value_error])?
        } else {
            PyTuple::new(py, [base.bind(py)])?
        };
        let text = format!("{} (error {}).", capitalised(error.text()), error.number());
        each.push((*error, class(py, &class_name(*error), &text, error.number(), bases)?));
    }
    Ok(Classes { base, each })
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn class_name(error: Error) -> String {
    format!("{}Error", error.name())
}

/// Puts the classes into the module.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let classes = CLASSES.get_or_try_init(py, || make(py))?;
    module.add("E4Error", classes.base.bind(py))?;
    for (error, class) in &classes.each {
        module.add(class_name(*error).as_str(), class.bind(py))?;
    }
    Ok(())
}

/// The class of an error.
pub fn class_of(py: Python<'_>, error: Error) -> Option<Bound<'_, PyType>> {
    let classes = CLASSES.get(py)?;
    let (_, class) = classes.each.iter().find(|(at, _)| *at == error)?;
    Some(class.bind(py).clone())
}

/// The exception of an error.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    match class_of(py, error) {
        Some(class) => PyErr::from_type(class, error.text()),
        None => PyRuntimeError::new_err(error.text()),
    }
}

/// The exception of an error that another exception caused.
pub fn raise_from(py: Python<'_>, error: Error, cause: PyErr) -> PyErr {
    let raised = raise(py, error);
    raised.set_cause(py, Some(cause));
    raised
}

/// `?` for results of the core.
pub trait OrRaise<T> {
    /// The value, or the exception of the error.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for e4::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, error))
    }
}

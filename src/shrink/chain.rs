//! Couplings of a chain of layers: the neurons between two of them.

use std::collections::HashMap;

use super::{Coupling, Couplings, Kind, Member, Place, Problem};
use crate::checkpoint::TensorInfo;
use crate::network::Chain;

/// The couplings of a [`Chain`]: the rows and the bias of each layer with the columns of the next one. What the first one
/// takes and the last one gives stays.
///
/// # Errors
/// [`Problem::NoTensor`], [`Problem::TwoLayers`] where a tensor is in two layers, [`Problem::OneLayer`]; those of
/// [`Coupling::new`].
pub fn of_chain(chain: &Chain, tensors: &[TensorInfo]) -> Result<Couplings, Problem> {
    let numbers: HashMap<&str, usize> = tensors.iter().enumerate().map(|(n, info)| (info.name.as_str(), n)).collect();
    let number = |name: &str| numbers.get(name).copied().ok_or_else(|| Problem::NoTensor { tensor: name.into() });
    let mut roles = HashMap::new();
    for (layer, names) in (1..).zip(&chain.layers) {
        for name in [Some(&names.weight), names.bias.as_ref()].into_iter().flatten() {
            if let Some(first) = roles.insert(name, layer) {
                return Err(Problem::TwoLayers { tensor: name.clone(), first, second: layer });
            }
        }
    }
    let mut list = Vec::new();
    for pair in chain.layers.windows(2) {
        let mut members = vec![Member::makes(number(&pair[0].weight)?, Place::Rows(1))];
        if let Some(bias) = &pair[0].bias {
            members.push(Member::makes(number(bias)?, Place::Rows(1)));
        }
        members.push(Member::takes(number(&pair[1].weight)?, Place::Columns(1), pair[1].bias.clone()));
        list.push(Coupling::new(pair[0].weight.clone(), tensors, members)?);
    }
    match list.is_empty() {
        true => Err(Problem::OneLayer),
        false => Couplings::new("the network".into(), Kind::Neuron, list, tensors),
    }
}
